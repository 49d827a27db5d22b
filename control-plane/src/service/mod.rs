//! Use cases: each owns its transaction.

mod entropy;

pub use entropy::{Entropy, NoEntropy};
