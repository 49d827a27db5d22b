//! Floor 2, below its neighbours: the one HTTP client for calls that leave the control plane.
//!
//! Every call is bounded in time (name, connection, TLS, answer: all together) and in bytes, follows no redirect, and
//! uses a connection of its own. Whom it may speak to can be narrowed by a rule over the addresses that a name has,
//! which is asked again for each call: a name that moves to a private address is refused at that very call.

mod address;
mod client;
mod error;
mod exchange;

pub use address::Endpoint;
pub use client::{Answer, Call, HttpClient};
pub use error::OutgoingError;
