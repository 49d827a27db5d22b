//! The control plane's ops API.

mod body;
mod client;

use std::path::PathBuf;

use clap::Args;
use plugmend_shared::protocol::problem::Problem;
use thiserror::Error;

pub use client::Api;

use crate::output::{EXIT_FAILED, EXIT_REFUSED, EXIT_UNAVAILABLE};

/// How to reach it. The token comes from `PLUGMEND_TOKEN` or a file, never from an argument.
#[derive(Debug, Args)]
pub struct Connection {
    /// The control plane's API.
    #[arg(long, env = "PLUGMEND_API", default_value = "http://127.0.0.1:8112")]
    api: String,
    /// A file with the bearer token (mode 0600), instead of the environment variable `PLUGMEND_TOKEN`.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Certificates to trust for HTTPS (PEM); the system's unless given.
    #[arg(long, env = "PLUGMEND_API_CA")]
    api_ca: Option<PathBuf>,
}

/// Why a request was not done.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Nobody answered, or the answer broke off.
    #[error("the control plane at {url} can not be reached; is it running, and is --api right?")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It said no.
    #[error("{}", in_words(.0))]
    Refused(Problem),
    /// Not what it should have said.
    #[error("the control plane answered {status} with something that is not JSON")]
    Malformed {
        /// The HTTP status.
        status: u16,
    },
}

impl ApiError {
    /// The exit code that a script can branch on.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => EXIT_UNAVAILABLE,
            Self::Refused(problem) if problem.status == 429 || problem.status >= 500 => EXIT_UNAVAILABLE,
            Self::Refused(_) => EXIT_REFUSED,
            Self::Malformed { .. } => EXIT_FAILED,
        }
    }
}

fn in_words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default();
    format!(
        "the control plane refused ({} {}): {}{detail}",
        problem.status, problem.code, problem.title
    )
}
