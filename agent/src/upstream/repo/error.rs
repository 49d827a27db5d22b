//! Why the repository is of no use at the moment.

use plugmend_shared::{
    ids::Product,
    tuf::{self, hash::Mismatch},
};
use thiserror::Error;

use super::{store::StoreError, transport::TransportError};

/// Why nothing could be learnt or fetched. What was trusted before stays as it was on disk.
#[derive(Debug, Error)]
pub enum RepoError {
    /// A file did not come.
    #[error("fetching {path} failed")]
    Transport {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// A file that must be there is not.
    #[error("the release repository has no {0}; ask ops whether the last publication was complete")]
    Missing(String),
    /// Metadata that are not to be trusted.
    #[error("the release repository's metadata are refused")]
    Untrusted(#[from] tuf::Error),
    /// What is trusted could not be kept or read: nothing may be built on it, or the rollback floor would be lost.
    #[error("the trusted metadata could not be kept on disk, so nothing is installed")]
    Store(#[from] StoreError),
    /// No root to start from.
    #[error("there is no trusted root: give root_file or root_sha256 in [trust]")]
    NoRoot,
    /// No root of the repository has the given fingerprint.
    #[error("none of the repository's roots has the fingerprint in [trust] root_sha256; check it")]
    NoSuchRoot,
    /// A target that is not what was signed.
    #[error("{path} is not the signed file")]
    BadTarget {
        /// Which file.
        path: String,
        /// How it differs.
        #[source]
        source: Mismatch,
    },
    /// A range beyond the file, or a shorter answer than asked for.
    #[error("bytes {start}..{end} of {path} did not come whole")]
    BadRange {
        /// Which file.
        path: String,
        /// First byte.
        start: u64,
        /// End, exclusive.
        end: u64,
    },
    /// A target too large to be fetched in one piece.
    #[error("{path} has {length} bytes: fetch it in ranges")]
    TooLarge {
        /// Which file.
        path: String,
        /// Its signed length.
        length: u64,
    },
    /// The repository does not carry the product.
    #[error("the release repository has no product '{0}'; check [plugin] product")]
    UnknownProduct(Product),
    /// Asked before the metadata were loaded.
    #[error("the release metadata have not been loaded yet")]
    NotLoaded,
}

impl RepoError {
    /// Whether trying later may help: a fault of the network or of the server, not of what is published.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transport { source, .. } if source.is_transient())
    }
}
