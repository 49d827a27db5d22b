//! What a call to the filesystem reports: which call, on which path, and what the system said.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A call to the filesystem that failed.
#[derive(Debug, Error)]
#[error("could not {action} {}", path.display())]
pub struct FsError {
    /// The call, as a verb.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Whether there was no room (a full disk or a quota).
    pub fn is_no_space(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }

    /// Whether the thing was not there.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Adds what was tried, and on what, to an error of the system.
pub trait Context<T> {
    /// `action` is a verb: "open", "rename".
    ///
    /// # Errors
    /// The error of the system, with its context.
    fn at(self, action: &'static str, path: &Path) -> Result<T, FsError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FsError> {
        self.map_err(|source| FsError {
            action,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}
