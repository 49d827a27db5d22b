//! Floor 2: the control plane as seen from here. TLS, client, release repository, downloads.
//!
//! Start with [`client::Client`]. It needs an identity: [`enrol::enrol`] makes one from a one-time token,
//! [`renewal::renew`] replaces it in time, [`identity_store::IdentityStore`] keeps it.

pub mod client;
mod connection;
pub mod enrol;
pub mod error;
pub mod identity_store;
mod key;
mod private_file;
pub mod renewal;
pub mod repo;
pub mod tls;
mod wire;
