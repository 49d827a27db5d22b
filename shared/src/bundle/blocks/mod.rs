//! Blocks: a release cut so finely that a host fetches little more than what changed, from whatever version it is on,
//! when nobody made a delta for it.
//!
//! ```text
//! blocks  := blob* | tables of the contents | tables of the manifest
//! tables  := check* of every item, then group* of every item
//! check   := u32 LE, the rolling hash of one group; an item of a single group has none
//! group   := u32 LE where the group's first blob begins | entry*
//! entry   := low 3 bytes of the block's rolling hash | length of its blob less 1 (1 byte for blocks of 256 bytes,
//!            else u16 LE)
//! blob    := the block itself, or one zstd frame without magic, whichever is shorter
//! ```
//!
//! An item is the manifest or one content; contents come in the order of `Manifest::contents`, but for the largest. An
//! item is cut into blocks of equal length and groups of 16 blocks. Every place in the tables follows from the sizes,
//! which are signed: one fetches the checks of an item, looks for its groups in what is installed (at any offset, as
//! rsync does), then the entries of the groups that were not found, then the blobs of the blocks that were not found.
//! Each blob builds on what comes before it in its item.
//!
//! Nothing here is trusted: hashes are short and only say where to look. An item that came together counts once its
//! SHA-256 is the signed one; else it is fetched another way.

mod assembly;
mod gather;
mod layout;
mod ranges;
mod rolling;
mod write;

pub use gather::{Gathering, Lacking};
pub use write::{WrittenBlocks, write};

use super::{
    codec::{self, CodecError},
    limits::MAX_PATCHED_FILE_BYTES,
};

/// Blocks of the smallest items, in bytes.
const SMALLEST_BLOCK: u64 = 256;
/// Blocks in a group.
const GROUP: u64 = 16;
/// How much of an item a blob builds on, in bytes: more gains little, and each blob costs the publisher that much.
const CONTEXT: usize = 4096;
/// The level that blobs are published with; higher ones gain half a percent and take eight times as long.
const LEVEL: i32 = 9;
/// The largest content that is cut into blocks.
const MAX_BLOCKED_BYTES: u64 = MAX_PATCHED_FILE_BYTES;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manifest,
    Content,
}

// The fixed part of a zstd dictionary (RFC 8878 section 5: magic, number, entropy tables, repeated offsets), as
// `ZDICT_finalizeDictionary` makes it, so that no small blob needs tables of its own. Changing either changes the format.

/// From 600 entries of a manifest.
const MANIFEST_TABLES: [u8; 127] = hex_bytes(
    b"37a430ec010000002110d841920e0cc3300cc3a2d186b7811912649212660e9429a594524ae978135002a33500180c14630e000000544007\
      02c48b8f41419690a2d1a90080200cc76b000000000000000000000000000064400e0d87078a8101653018185c8304613020148ae2a8d401\
      000000010000000400000008000000",
);
/// From 300 pieces of Python and 150 of a list of Base64 hashes.
const CONTENT_TABLES: [u8; 150] = hex_bytes(
    b"37a430ec010000003a10b0926c03300cc3300cc3300cc3b0560602bf4c4922332551e4cacdc929a78e4a017f0b7f1b390affa637e9dd1242\
      d8bbc9a1984d910b9e18c093d3003c48a1967318cb00003421848f968f0a108b9bc8e552721666398e42c820428831c6c800000000000000\
      0084254b8d4987c6227930140a05398c04310a8328157a000000010000000400000008000000",
);
/// What stands before the first byte of a manifest.
const MANIFEST_PRIMER: &[u8] = br#"{"format":1,"product":"","version":"0.1.2","impact":"medium","files":[{"path":"","exec":true,"size":0,"sha256":"0123456789abcdef"},{"path":""#;
/// What stands before the first byte of a content.
const CONTENT_PRIMER: &[u8] = b"\n        ";

impl Kind {
    /// The dictionary of the blob that follows `before` in its item.
    fn dictionary(self, before: &[u8]) -> Vec<u8> {
        let (tables, primer) = match self {
            Self::Manifest => (&MANIFEST_TABLES[..], MANIFEST_PRIMER),
            Self::Content => (&CONTENT_TABLES[..], CONTENT_PRIMER),
        };
        let near = before.split_at(before.len().saturating_sub(CONTEXT)).1;
        [tables, primer, near].concat()
    }

    fn pack(self, before: &[u8], block: &[u8]) -> Result<Vec<u8>, CodecError> {
        let packed = codec::compress_with_dictionary(block, &self.dictionary(before), LEVEL)?;
        Ok(if packed.len() < block.len() {
            packed
        } else {
            block.to_vec()
        })
    }

    /// Appends the block of `len` bytes that `blob` holds.
    fn unpack(self, out: &mut Vec<u8>, blob: &[u8], len: usize) -> Result<(), CodecError> {
        if blob.len() == len {
            out.extend(blob);
        } else {
            let block = codec::decompress_with_dictionary(blob, &self.dictionary(out), len)?;
            out.extend(block);
        }
        Ok(())
    }
}

/// The bytes that are spelt in hexadecimal.
const fn hex_bytes<const N: usize>(text: &[u8]) -> [u8; N] {
    const fn digit(c: u8) -> u8 {
        match c {
            b'a'..=b'f' => c - b'a' + 10,
            _ => c - b'0',
        }
    }
    let mut out = [0; N];
    let (mut from, mut to) = (0, 0);
    while to < N {
        out[to] = digit(text[from]) << 4 | digit(text[from + 1]);
        from += 2;
        to += 1;
    }
    assert!(from == text.len(), "as many digits as bytes");
    out
}
