//! Why a run could not be made.

use std::{io, path::PathBuf};

use plugmend_sandbox::SandboxError;
use plugmend_shared::{
    ids::{Digest, Product},
    tuf,
};
use semver::Version;
use thiserror::Error;

use crate::outgoing::OutgoingError;

/// Why a run could not be made: nothing is known about the release then.
#[derive(Debug, Error)]
pub enum RunError {
    /// Every slot is taken, and enough wait already.
    #[error("there is no room for another run at the moment")]
    Busy,
    /// The request does not say of which product.
    #[error("the request names no product: the built-in runner needs it beside the version")]
    NoProduct,
    /// The repository has no such product.
    #[error("the release repository has no product '{0}'")]
    UnknownProduct(Product),
    /// Nobody signed such a release.
    #[error("no signed release of '{product}' has version {version}")]
    UnknownRelease {
        /// Of what.
        product: Product,
        /// Which.
        version: Version,
    },
    /// The release keys took it back.
    #[error("the release was revoked: {0}")]
    Revoked(String),
    /// The version is another release than the one asked for.
    #[error("the signed release of this version is {0}, not the one asked for")]
    OtherRelease(Digest),
    /// The metadata are not to be trusted.
    #[error("the release repository's metadata are refused")]
    Untrusted(#[from] tuf::Error),
    /// There is no root to start from.
    #[error("no root of the repository is the pinned one ({0})")]
    NoRoot(String),
    /// A file that must be there is not.
    #[error("the release repository has no {0}")]
    Missing(String),
    /// The repository can not be reached.
    #[error("the release repository can not be reached")]
    Unreachable(#[source] OutgoingError),
    /// The repository answers with something else than files.
    #[error("the release repository answered HTTP {0}")]
    Status(u16),
    /// A file of the repository's folder can not be read.
    #[error("{} can not be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content is not what was signed.
    #[error("the release does not hold what was signed: {0}")]
    Damaged(String),
    /// This host's disk.
    #[error("the runner's own folder can not be used; see PLUGMEND_STAGING_STATE_DIR and its disk")]
    Disk(#[source] io::Error),
    /// Nothing here can confine a test.
    #[error("tests can not be confined on this host, so none is run")]
    Sandbox(#[from] SandboxError),
    /// What was to be done first has taken all the time there was.
    #[error("{0} before the run's time was up; give it more (staging_timeout_seconds)")]
    OutOfTime(&'static str),
    /// A fault of ours.
    #[error("the run broke off: {0}")]
    Internal(String),
}

impl RunError {
    /// Whether the caller asked for something that can not be, however often it asks.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoProduct
                | Self::UnknownProduct(_)
                | Self::UnknownRelease { .. }
                | Self::Revoked(_)
                | Self::OtherRelease(_)
        )
    }

    /// It and its causes in one line.
    pub fn chain(&self) -> String {
        let mut words = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            words.push_str(": ");
            words.push_str(&cause.to_string());
            source = cause.source();
        }
        words
    }
}
