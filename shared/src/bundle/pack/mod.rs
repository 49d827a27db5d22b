//! The pack: what all files of a release hold, in zstd frames that can be fetched one by one.
//!
//! ```text
//! pack   := frame* index footer
//! frame  := one zstd frame: the next few contents of `Manifest::contents`, one after the other
//! index  := zstd( varint format, varint frames, varint contents-in-frame*, varint bytes-of-frame*, check* )
//! footer := first 8 bytes of sha256(index) | u32 LE bytes of index | "PLUGMPK1"
//! check  := first 4 bytes of sha256(frame)
//! ```
//!
//! The index repeats neither digests nor sizes, which the signed manifest has. The checks only find damage early;
//! what counts is that each content is hashed against the manifest before it is accepted.

mod index;
mod plan;
mod unpack;
mod write;

use std::io;

use thiserror::Error;

pub use index::{Frame, PackIndex};
pub use plan::{FetchRange, plan};
pub use unpack::{PackReader, Unpacker};
pub use write::{ContentSource, WrittenPack, write};
pub(super) use write::{groups, read_checked};

use crate::ids::Digest;

pub(super) const MAGIC: [u8; 8] = *b"PLUGMPK1";
pub(super) const FORMAT: u64 = 1;
/// Bytes of the footer.
pub const FOOTER_BYTES: u64 = 20;
/// Small contents share a frame until it holds this much: fewer bytes for one changed file against better compression
/// of all.
pub(super) const GROUP_BYTES: u64 = 64 * 1024;
/// Window of the pack's frames (8 MiB): what an agent needs in memory to unpack the largest file.
pub(super) const WINDOW_LOG: u32 = 23;

/// Why a pack, or a part of one, is refused.
#[derive(Debug, Error)]
pub enum PackError {
    /// The index begins before the bytes that were given.
    #[error("the last {needed} bytes of the pack are needed to read its index")]
    TailTooShort {
        /// How many bytes from the pack's end.
        needed: u64,
    },
    /// The end of the pack is not what a publisher wrote.
    #[error("the pack's index is damaged or does not go with the manifest")]
    BadIndex,
    /// A frame is not what a publisher wrote.
    #[error("frame {0} of the pack is damaged")]
    BadFrame(usize),
    /// A content is another than the manifest says.
    #[error("content {0} of the pack has another digest")]
    WrongDigest(Digest),
    /// Fewer bytes came than the range has.
    #[error("the range ended {0} bytes early")]
    Truncated(u64),
    /// Where contents go to, or come from.
    #[error("contents can not be read or written")]
    Io(#[from] io::Error),
}

fn check_of(bytes: &[u8]) -> [u8; 4] {
    let Digest([a, b, c, d, ..]) = Digest::of(bytes);
    [a, b, c, d]
}
