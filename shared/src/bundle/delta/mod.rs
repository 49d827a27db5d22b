//! The delta pack `from -> to`: a whole common update in one small file.
//!
//! ```text
//! delta := "PLUGMDL1" | varint bytes of manifest | varint bytes of its patch | patch | varint bytes of table | table
//!          | blob*
//! patch := zstd frame of the new manifest with the old manifest's canonical bytes as prefix
//! table := zstd( source* | varint plain groups | contents-in-group* | bytes-of-blob* )
//! blob  := zstd frame
//! ```
//!
//! `source` has one varint for each content of the new manifest that the old one has not, in the new manifest's order:
//! 0 for plain, else 1 + the number of the old content that is its prefix. First come the blobs of patched contents,
//! then those of plain ones, which share frames as in a pack. Lengths come from the new manifest, so output is
//! bounded before anything is decompressed.

mod apply;
mod similar;
mod write;

use std::io;

use thiserror::Error;

pub use apply::Delta;
pub(super) use similar::Ancestry;
pub use write::{WrittenDelta, write};

use super::{ManifestError, contents::Content, manifest::Manifest};
use crate::ids::Digest;

const MAGIC: [u8; 8] = *b"PLUGMDL1";

/// Why a delta pack is refused. Fall back to the pack's frames.
#[derive(Debug, Error)]
pub enum DeltaError {
    /// Not what a publisher wrote, or written for another release than the installed one.
    #[error("the delta pack is damaged or is not for the installed release")]
    Damaged,
    /// It leads to another release than was asked for.
    #[error("the delta pack leads to another release")]
    OtherRelease,
    /// The new manifest breaks a rule.
    #[error("the delta pack's manifest is refused")]
    Manifest(#[from] ManifestError),
    /// A content came out other than the manifest says: damage, or the installed file it builds on was changed.
    #[error("content {0} of the delta pack has another digest")]
    WrongDigest(Digest),
    /// Larger than a delta pack may be.
    #[error("the delta pack would be too large to be of use")]
    TooLarge,
    /// Where contents go to, or come from.
    #[error("contents can not be read or written")]
    Io(#[from] io::Error),
}

/// The contents of `to` that `from` has not, in the order of `to`.
fn missing(from: &[Content], to: &Manifest) -> Vec<Content> {
    let have: std::collections::HashSet<Digest> = from.iter().map(|c| c.digest).collect();
    let mut contents = to.contents();
    contents.retain(|c| !have.contains(&c.digest));
    contents
}
