//! Use cases: each owns its transaction.

pub mod command;
mod entropy;
pub mod ingest;
pub mod once;
pub mod plugin;
pub mod secret;

pub use entropy::{Entropy, NoEntropy};
