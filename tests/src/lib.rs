//! End-to-end harness: starts the real programs beside real shops on a real Postgres, and drives them as people would.
//!
//! Shared by the tests in `tests/tests`, by `make demo`, `make bench` and `make soak`. Everything listens on loopback
//! only, lives in temporary folders, and is ended by process id, also when a test fails.

pub mod bench;
pub mod crowd;
pub mod demo;
pub mod dice;
pub mod fleet_sim;
pub mod helpers;
pub mod house;
pub mod kill_switch;
pub mod load;
pub mod members;
pub mod mounts;
pub mod npm;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod shop;
pub mod soak;
pub mod system;
pub mod wait;
