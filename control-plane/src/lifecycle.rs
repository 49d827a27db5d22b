//! Start, run and stop, as three visible phases.
