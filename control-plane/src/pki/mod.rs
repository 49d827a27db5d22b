//! Floor 3: the agents' CA. It issues the certificates of agents and, unless another is configured, the gateway's own.

pub mod audit_key;
pub mod ca;
mod dates;
pub mod gateway_certificate;
pub mod request;
mod secret_file;
mod serial;
pub mod tls;
pub mod verifier;

pub use ca::{AgentCa, CaError, CaOptions};
