//! What can go wrong on the way to the control plane, sorted by what the agent should do about it.

use std::time::Duration;

use plugmend_shared::protocol::problem::Problem;
use thiserror::Error;

use super::identity_store::IdentityStoreError;

/// Any error as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to the control plane failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No connection, or it broke. Transient.
    #[error("the control plane at {authority} can not be reached ({doing}); the agent keeps trying")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: BoxError,
    },
    /// No answer in time. Transient.
    #[error("the control plane did not finish {doing} within {after:?}; the agent keeps trying")]
    TimedOut {
        /// What was waited for.
        doing: &'static str,
        /// How long.
        after: Duration,
    },
    /// It asks for patience (429, 503). Transient.
    #[error("the control plane is busy (HTTP {status}); the agent tries again later")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait, an hour at most.
        retry_after: Option<Duration>,
    },
    /// It failed (5xx). Transient.
    #[error("the control plane failed (HTTP {status}); the agent tries again later")]
    ServerFault {
        /// The HTTP status.
        status: u16,
    },
    /// Whoever answered is not the control plane this agent was enrolled with.
    #[error("the server at {authority} did not prove to be the control plane; check its address and the configured CA")]
    Untrusted {
        /// Host and port.
        authority: String,
        /// What was wrong with its proof.
        source: BoxError,
    },
    /// The server ended the handshake: it does not take our certificate.
    #[error("the server at {authority} does not take this agent's certificate; enrol it anew with a new token")]
    NotTaken {
        /// Host and port.
        authority: String,
        /// The TLS alert.
        source: BoxError,
    },
    /// This identity was seen in two places. The agent stays silent until it is enrolled anew.
    #[error(
        "this agent's identity was seen in two places and is fenced: {0}; find the other host, then enrol this one anew"
    )]
    Fenced(String),
    /// This identity was revoked.
    #[error("this agent's identity was revoked: {0}; enrol it anew with a new token")]
    Revoked(String),
    /// The certificate has expired: renew, and do nothing else.
    #[error("this agent's certificate has expired: {0}")]
    Expired(String),
    /// The request was understood and refused; the same request will be refused again.
    #[error("the control plane refused: {} (HTTP {}, {})", .0.title, .0.status, .0.code)]
    Refused(Problem),
    /// The answer is longer than what was asked for.
    #[error("the control plane's answer is longer than the {limit} bytes that may be")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The answer makes no sense.
    #[error("the control plane's answer makes no sense: {what}")]
    Malformed {
        /// What was wrong with it.
        what: String,
    },
    /// There is no identity yet.
    #[error("this agent is not enrolled; run plugmend-agent enrol with a token from the control plane")]
    NotEnrolled,
    /// The address of the control plane is unusable.
    #[error("'{url}' is not an address of a control plane: https://host:port is wanted")]
    BadUrl {
        /// What was configured.
        url: String,
    },
    /// The identity could not be read or kept.
    #[error("this agent's identity can not be used")]
    Identity(#[from] IdentityStoreError),
    /// The identity was read, and is unusable.
    #[error("this agent's key or certificate is unusable; enrol it anew with a new token")]
    BadIdentity(#[source] BoxError),
}

impl ClientError {
    /// Whether trying the same again later may help. Such a fault never changes what is installed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Busy { .. } | Self::ServerFault { .. }
        )
    }

    /// How long the control plane asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
