//! Settings: read in layers, then validated.
