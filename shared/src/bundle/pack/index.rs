//! The compact index at the end of a pack.

use std::ops::Range;

use super::{FOOTER_BYTES, FORMAT, MAGIC, PackError};
use crate::{
    bundle::{
        codec::{self, CodecError},
        contents::Content,
        manifest::Manifest,
        varint,
    },
    ids::Digest,
};

/// One frame: where it lies and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes in the pack.
    pub bytes: Range<u64>,
    /// Which of [`PackIndex::contents`] it holds.
    pub contents: Range<usize>,
    /// What it decompresses to, in bytes.
    pub raw: u64,
    pub(super) check: [u8; 4],
}

/// Where each content of a release lies in its pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackIndex {
    contents: Vec<Content>,
    frames: Vec<Frame>,
}

impl PackIndex {
    /// How many bytes of the pack's end most likely hold the index: so one request is enough.
    pub fn tail_hint(manifest: &Manifest) -> u64 {
        let frames = super::write::groups(&manifest.contents()).count() as u64;
        FOOTER_BYTES + 64 + frames * 7
    }

    /// Reads the index from the last bytes of a pack of `pack_len` bytes.
    ///
    /// # Errors
    /// [`PackError::TailTooShort`] when more of the end is needed, [`PackError::BadIndex`] when it is not the index
    /// of a pack for this manifest.
    pub fn parse(tail: &[u8], pack_len: u64, manifest: &Manifest) -> Result<Self, PackError> {
        let bad = || PackError::BadIndex;
        let needed = |needed| PackError::TailTooShort { needed };
        if tail.len() as u64 > pack_len || pack_len < FOOTER_BYTES {
            return Err(bad());
        }
        let (rest, footer) = tail.split_last_chunk::<20>().ok_or_else(|| needed(FOOTER_BYTES))?;
        let (check, footer) = footer.split_first_chunk::<8>().ok_or_else(bad)?;
        let (len, magic) = footer.split_first_chunk::<4>().ok_or_else(bad)?;
        let len = u64::from(u32::from_le_bytes(*len));
        if magic != MAGIC || len + FOOTER_BYTES > pack_len {
            return Err(bad());
        }
        if len > rest.len() as u64 {
            return Err(needed(len + FOOTER_BYTES));
        }
        let start = rest.len() - usize::try_from(len).map_err(|_| bad())?;
        let packed = &rest[start..];
        if Digest::of(packed).0[..8] != *check {
            return Err(bad());
        }
        Self::decode(packed, pack_len - FOOTER_BYTES - len, manifest.contents()).ok_or_else(bad)
    }

    fn decode(packed: &[u8], frames_len: u64, contents: Vec<Content>) -> Option<Self> {
        // No frame is without content, and none takes more than two numbers and a check.
        let raw = codec::decompress(packed, 32 + contents.len() as u64 * 24).ok()?;
        let mut raw = &raw[..];
        if varint::take(&mut raw)? != FORMAT {
            return None;
        }
        let count = usize::try_from(varint::take(&mut raw)?).ok()?;
        if count > contents.len() {
            return None;
        }
        let mut counts = Vec::with_capacity(count);
        for _ in 0..count {
            counts.push(usize::try_from(varint::take(&mut raw)?).ok()?);
        }
        let mut frames: Vec<Frame> = Vec::with_capacity(count);
        let (mut offset, mut first) = (0u64, 0usize);
        for held in counts {
            let end = offset.checked_add(varint::take(&mut raw)?)?;
            let last = first.checked_add(held)?;
            let raw = contents.get(first..last)?.iter().map(|c| c.size).sum();
            if last == first || end == offset || end > frames_len {
                return None;
            }
            frames.push(Frame {
                bytes: offset..end,
                contents: first..last,
                raw,
                check: [0; 4],
            });
            (offset, first) = (end, last);
        }
        for frame in &mut frames {
            let (check, rest) = raw.split_first_chunk::<4>()?;
            frame.check = *check;
            raw = rest;
        }
        // Every byte of the pack and every content of the manifest must be spoken for.
        let whole = raw.is_empty() && offset == frames_len && first == contents.len();
        whole.then_some(Self { contents, frames })
    }

    /// The bytes of an index and its footer.
    pub(super) fn encode(frames: &[Frame], level: i32) -> Result<Vec<u8>, CodecError> {
        let mut raw = Vec::new();
        varint::put(&mut raw, FORMAT);
        varint::put(&mut raw, frames.len() as u64);
        for frame in frames {
            varint::put(&mut raw, frame.contents.len() as u64);
        }
        for frame in frames {
            varint::put(&mut raw, frame.bytes.end - frame.bytes.start);
        }
        for frame in frames {
            raw.extend(frame.check);
        }
        let mut out = codec::compress(&raw, level)?;
        let len = u32::try_from(out.len()).map_err(|_| CodecError::Compressor)?;
        let check = Digest::of(&out);
        out.extend(&check.0[..8]);
        out.extend(len.to_le_bytes());
        out.extend(MAGIC);
        Ok(out)
    }

    /// The contents, in the order of the pack.
    pub fn contents(&self) -> &[Content] {
        &self.contents
    }

    /// The frames, in the order of the pack.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// What one frame holds.
    pub fn held(&self, frame: &Frame) -> &[Content] {
        self.contents.get(frame.contents.clone()).unwrap_or_default()
    }
}
