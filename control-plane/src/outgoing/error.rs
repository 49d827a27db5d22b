//! Why a call did not bring an answer.

use std::{error::Error as StdError, net::IpAddr, time::Duration};

use thiserror::Error;

/// Why a call did not bring an answer. Addresses are shown without path and query: those may hold secrets.
#[derive(Debug, Error)]
pub enum OutgoingError {
    /// Not an address that can be called.
    #[error("the address can not be called: {0}")]
    Address(String),
    /// A header or a path that can not be sent.
    #[error("the request can not be made")]
    Request(#[source] Box<dyn StdError + Send + Sync>),
    /// The name has no address, or none can be reached.
    #[error("{host} can not be reached")]
    Unreachable {
        /// Name and port.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address of the name is not one that may be called.
    #[error("{host} is at {address}, which may not be called from here")]
    Forbidden {
        /// Name and port.
        host: String,
        /// Where the name leads.
        address: IpAddr,
    },
    /// It did not happen in time.
    #[error("{host} did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// Name and port.
        host: String,
        /// What it was given.
        after: Duration,
    },
    /// The answer is longer than was allowed.
    #[error("the answer is longer than the {0} bytes that are allowed")]
    TooLarge(u64),
    /// The connection broke, or what came is not HTTP.
    #[error("the exchange with {host} broke off")]
    Broken {
        /// Name and port.
        host: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
}

impl OutgoingError {
    /// Whether the same call may go better later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Broken { .. }
        )
    }
}
