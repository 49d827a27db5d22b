//! Why there is no result.

use std::time::Duration;

use thiserror::Error;

use crate::outgoing::OutgoingError;

/// Why there is no result. A release that failed its tests is a result, not an error.
#[derive(Debug, Error)]
pub enum StagingError {
    /// The address in the configuration can not be used.
    #[error("STAGING_RUNNER_URL can not be used")]
    Address(#[source] OutgoingError),
    /// No whole answer came.
    #[error("the staging runner gave no answer; see that it runs and that STAGING_RUNNER_URL leads to it")]
    Call(#[source] OutgoingError),
    /// It has enough to do.
    #[error("the staging runner has no room at the moment")]
    Busy {
        /// When it asks to be asked again.
        retry_after: Option<Duration>,
    },
    /// It does not know our token.
    #[error("the staging runner refuses the token: STAGING_RUNNER_TOKEN must be the same on both sides")]
    Unauthorised,
    /// It has a fault of its own.
    #[error("the staging runner has a fault (HTTP {status}): {words}")]
    Fault {
        /// The status of its answer.
        status: u16,
        /// What it says.
        words: String,
    },
    /// It will not run this, now or later.
    #[error("the staging runner refuses the run (HTTP {status}): {words}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it says.
        words: String,
    },
    /// What it says is not an answer that can be believed.
    #[error("the staging runner's answer is not believed: {0}")]
    NotBelieved(String),
}

impl StagingError {
    /// Whether the same request may go better later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Busy { .. } | Self::Fault { .. } => true,
            Self::Address(_) | Self::Unauthorised | Self::Refused { .. } | Self::NotBelieved(_) => false,
        }
    }
}
