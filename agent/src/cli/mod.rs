//! The command line for the person on the host.
