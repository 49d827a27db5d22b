//! Writing a pack. The same manifest and level give the same bytes.

use std::{
    io::{self, Write},
    ops::Range,
};

use super::{Frame, GROUP_BYTES, PackError, PackIndex, check_of};
use crate::{
    bundle::{codec, contents::Content, manifest::Manifest},
    ids::Digest,
};

/// Where the contents of a release are while it is built.
pub trait ContentSource {
    /// The whole content.
    ///
    /// # Errors
    /// When it is not there or can not be read.
    fn read(&mut self, content: &Content) -> io::Result<Vec<u8>>;
}

impl<F: FnMut(&Content) -> io::Result<Vec<u8>>> ContentSource for F {
    fn read(&mut self, content: &Content) -> io::Result<Vec<u8>> {
        self(content)
    }
}

/// What a pack came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenPack {
    /// Its length, in bytes.
    pub len: u64,
    /// Of those, index and footer.
    pub index_len: u64,
    /// How many frames it has.
    pub frames: usize,
}

/// Writes the pack of a manifest; `done` is told how many raw bytes have been packed.
///
/// # Errors
/// When a content can not be read, is another than the manifest says, or the pack can not be written.
pub fn write(
    manifest: &Manifest,
    source: &mut dyn ContentSource,
    out: &mut dyn Write,
    level: i32,
    done: &mut dyn FnMut(u64),
) -> Result<WrittenPack, PackError> {
    let contents = manifest.contents();
    let mut frames = Vec::new();
    let (mut offset, mut packed) = (0u64, 0u64);
    for group in groups(&contents) {
        let mut raw = Vec::new();
        for content in &contents[group.clone()] {
            raw.extend(read_checked(source, content)?);
        }
        let frame = codec::compress_frame(&raw, level, super::WINDOW_LOG).map_err(io::Error::other)?;
        out.write_all(&frame)?;
        frames.push(Frame {
            bytes: offset..offset + frame.len() as u64,
            contents: group,
            raw: raw.len() as u64,
            check: check_of(&frame),
        });
        offset += frame.len() as u64;
        packed += raw.len() as u64;
        done(packed);
    }
    let index = PackIndex::encode(&frames, level).map_err(io::Error::other)?;
    out.write_all(&index)?;
    Ok(WrittenPack {
        len: offset + index.len() as u64,
        index_len: index.len() as u64,
        frames: frames.len(),
    })
}

/// Reads one content and makes sure that it has not changed since the manifest was made.
pub(in crate::bundle) fn read_checked(source: &mut dyn ContentSource, content: &Content) -> Result<Vec<u8>, PackError> {
    let bytes = source.read(content)?;
    if bytes.len() as u64 == content.size && Digest::of(&bytes) == content.digest {
        Ok(bytes)
    } else {
        Err(PackError::WrongDigest(content.digest))
    }
}

/// Which contents share a frame: small ones until [`GROUP_BYTES`] are together, a large one alone.
pub(in crate::bundle) fn groups(contents: &[Content]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let mut raw = 0;
        while let Some(content) = contents.get(at) {
            let alone = content.size >= GROUP_BYTES;
            if at > start && (alone || raw + content.size > GROUP_BYTES) {
                break;
            }
            raw += content.size;
            at += 1;
            if alone {
                break;
            }
        }
        (at > start).then_some(start..at)
    })
}
