//! Settings of the host: read in layers, then validated.
