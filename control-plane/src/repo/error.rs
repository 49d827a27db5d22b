//! What can go wrong with the repository, sorted by who can do something about it.

use plugmend_shared::{
    bundle::{delta::DeltaError, pack::PackError, release::ReleaseError},
    tuf,
};
use thiserror::Error;

/// An error of the repository.
#[derive(Debug, Error)]
pub enum RepoError {
    /// The storage failed.
    #[error("the release storage failed; nothing was published")]
    Storage(#[source] object_store::Error),
    /// What is stored can not be read back.
    #[error("the stored {0} metadata can not be read; restore the release repository from its backup")]
    Corrupt(String, #[source] tuf::Error),
    /// The online keys can not be used.
    #[error("the online keys can not be used: {0}")]
    Keys(String),
    /// A key file can not be read or made.
    #[error("the key file {path} can not be used")]
    KeyFile {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The submission is not one that agents would trust.
    #[error("agents would not trust this")]
    Untrusted(#[from] tuf::Error),
    /// The submission breaks a rule of ours.
    #[error("{0}")]
    Rule(String),
    /// A signed file was not uploaded.
    #[error("'{0}' was not uploaded, or has another length than signed")]
    MissingFile(String),
    /// A release's files are not what was signed.
    #[error("the manifest is refused")]
    Release(#[from] ReleaseError),
    /// A release's pack does not go with its manifest.
    #[error("the pack of {path} is refused")]
    Pack {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: PackError,
    },
    /// A delta does not lead to its release.
    #[error("the delta {path} is refused")]
    Delta {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: DeltaError,
    },
    /// Another publisher wrote in between.
    #[error("another publisher was faster; publish again")]
    Overtaken,
    /// An upload broke off.
    #[error("the upload broke off")]
    BrokenUpload(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An upload is not what it was called.
    #[error("the upload has another SHA-256 than its address says")]
    WrongUpload,
    /// An upload is larger than any file of a release.
    #[error("the upload is larger than {0} bytes")]
    UploadTooLarge(u64),
}

impl RepoError {
    /// Whether the sender of a submission can do something about it.
    pub fn is_senders(&self) -> bool {
        !matches!(
            self,
            Self::Storage(_) | Self::Corrupt(..) | Self::Keys(_) | Self::KeyFile { .. }
        )
    }

    pub(super) fn rule(words: impl Into<String>) -> Self {
        Self::Rule(words.into())
    }
}

impl From<object_store::Error> for RepoError {
    fn from(error: object_store::Error) -> Self {
        Self::Storage(error)
    }
}
