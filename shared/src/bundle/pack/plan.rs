//! Which ranges of a pack to fetch.

use std::ops::Range;

use super::PackIndex;
use crate::ids::Digest;

/// One more request costs about this many bytes of headers each way: fetching a smaller gap is cheaper.
const NEAR: u64 = 512;
/// Ranges are not merged beyond this, so that one range fits in memory; a larger single frame stays whole and is
/// fetched piece by piece.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Some frames that lie beside each other, to be fetched by one request or, where long, by several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRange {
    /// Bytes of the pack.
    pub bytes: Range<u64>,
    /// Which of [`PackIndex::frames`] they are.
    pub frames: Range<usize>,
}

impl FetchRange {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// Whether it has none; a plan has no such range.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The ranges that hold every content that one does not `have`.
pub fn plan(index: &PackIndex, have: &dyn Fn(&Digest) -> bool) -> Vec<FetchRange> {
    let mut out: Vec<FetchRange> = Vec::new();
    for (i, frame) in index.frames().iter().enumerate() {
        if index.held(frame).iter().all(|c| have(&c.digest)) {
            continue;
        }
        match out.last_mut() {
            Some(last)
                if frame.bytes.start - last.bytes.end <= NEAR && frame.bytes.end - last.bytes.start <= LONGEST =>
            {
                last.bytes.end = frame.bytes.end;
                last.frames.end = i + 1;
            }
            _ => out.push(FetchRange {
                bytes: frame.bytes.clone(),
                frames: i..i + 1,
            }),
        }
    }
    out
}
