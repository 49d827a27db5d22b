//! Use cases: each owns its transaction.

pub mod agent_renewal;
pub mod approval;
pub mod audit_chain;
pub mod command;
pub mod decide;
pub mod deliver;
pub mod enrolment;
pub mod enrolment_token;
mod entropy;
pub mod events;
pub mod figures;
pub mod healing;
pub mod ingest;
pub mod learn;
pub mod merchant;
pub mod once;
pub mod plugin;
pub mod policy;
pub mod quarantine;
pub mod release;
pub mod secret;
pub mod secret_box;
pub mod standing;
pub mod timeline;
pub mod token_hash;
pub mod webhook;

pub use entropy::{Entropy, NoEntropy};
