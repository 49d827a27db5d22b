//! The control plane's ops API.

mod body;
mod certificate;
mod client;
mod connect;
mod events;
mod list;
mod query;

use std::path::PathBuf;

use clap::Args;
use plugmend_shared::protocol::problem::Problem;
use thiserror::Error;

pub use client::{Answer, Api};
pub use events::{Event, Events};
pub use list::Extent;
pub use query::Query;

use crate::{exit::Exit, output::plain};

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
    /// What it comes to: the one place where a problem becomes an exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unavailable,
            Self::Refused(problem) => Exit::of(problem.status, &problem.code),
            Self::Malformed { status } if *status >= 400 => Exit::of(*status, ""),
            Self::Malformed { .. } => Exit::Failed,
        }
    }

    /// What to do next, where the status says it.
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some("'plugmend doctor' says how far one gets"),
            Self::Malformed { .. } => Some("is --api the control plane, or a proxy before it? 'plugmend doctor' says"),
            Self::Refused(problem) => next(problem.status, &problem.code),
        }
    }
}

fn next(status: u16, code: &str) -> Option<&'static str> {
    match (status, code) {
        (401, _) => Some("put a valid token into PLUGMEND_TOKEN or --token-file; 'plugmend doctor' says what is wrong"),
        (403, _) => Some("ask somebody with another role; 'plugmend doctor' shows yours"),
        (404, "unknown_path") => {
            Some("this control plane does not know that yet: 'plugmend doctor' compares the versions")
        }
        (404 | 410, _) => Some("compare the id with what the 'list' verb shows"),
        (409, "refused_by_policy") => Some("'plugmend policy show' says what is allowed"),
        (409, "attempt_under_way") => Some("follow it with 'plugmend watch --incident', or 'incident act … cancel'"),
        (409 | 412 | 428, _) => Some("look at it again with 'show', then decide anew"),
        (429 | 503, _) => Some("try again in a moment"),
        (500.., _) => Some("try again; the control plane's log says what happened"),
        _ => None,
    }
}

fn in_words(problem: &Problem) -> String {
    let detail = problem
        .detail
        .as_deref()
        .map(|detail| format!(": {}", plain(detail)))
        .unwrap_or_default();
    format!(
        "the control plane refused ({} {}): {}{detail}",
        problem.status,
        plain(&problem.code),
        plain(&problem.title)
    )
}
