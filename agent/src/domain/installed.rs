//! What lies on the host: trees of files, which of them runs, and how they change places.

use std::fmt;

use plugmend_shared::ids::Digest;
use serde::{Deserialize, Serialize};

/// How a new release takes the old one's place. Measured under load: `stub` shows the new version at once whatever PHP
/// caches, `exchange` suits plugins as they are, `symlink` suits Node and Python with a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutKind {
    /// A fixed entry file reads one pointer file and loads `versions/<tree>/`.
    Stub,
    /// Two real folders change names in one system call.
    Exchange,
    /// The plugin's path is a link, replaced by a rename.
    Symlink,
}

impl LayoutKind {
    /// As in the host's configuration and in heartbeats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Exchange => "exchange",
            Self::Symlink => "symlink",
        }
    }
}

impl fmt::Display for LayoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One laid-out release: a folder of its own, never changed once it was activated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Its folder's name, `r<n>-<version>`: never used twice on this host.
    pub name: String,
    /// Its inode, which a rename keeps: after a crash it tells which tree lies at the plugin's path.
    pub ino: u64,
    /// Which version it is.
    pub version: semver::Version,
    /// Digest of its manifest; absent for an adopted folder (release zero).
    pub digest: Option<Digest>,
}

/// Which of the two trees of a change lies at the plugin's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The one that was there before.
    Old,
    /// The one that the change brings.
    New,
    /// Something else: somebody else changed the path.
    Neither,
}

impl Found {
    /// Tells by the inode of what lies there.
    pub fn by_inode(ino: u64, from: &Tree, to: &Tree) -> Self {
        if ino == to.ino {
            Self::New
        } else if ino == from.ino {
            Self::Old
        } else {
            Self::Neither
        }
    }
}
