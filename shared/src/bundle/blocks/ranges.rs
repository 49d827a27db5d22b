//! Which ranges to ask for, and what came of them.

use std::ops::Range;

/// A gap of up to this many bytes is fetched along: another request costs more.
const NEAR: u64 = 64;
/// The most requests of one round; beyond it wider gaps are fetched along.
const MAX_RANGES: usize = 256;

/// As few ranges as is sensible that hold all of `wanted`.
pub(super) fn merge(mut wanted: Vec<Range<u64>>) -> Vec<Range<u64>> {
    wanted.retain(|range| !range.is_empty());
    wanted.sort_by_key(|range| range.start);
    let mut near = NEAR;
    loop {
        let mut out: Vec<Range<u64>> = Vec::new();
        for range in &wanted {
            match out.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(near) => last.end = last.end.max(range.end),
                _ => out.push(range.clone()),
            }
        }
        // Ends: at the widest gap one range is left.
        if out.len() <= MAX_RANGES || near == u64::MAX {
            return out;
        }
        near = near.saturating_mul(2);
    }
}

/// How many bytes ranges have.
pub(super) fn total(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Bytes that came, each with its place.
#[derive(Debug, Default)]
pub(super) struct Came {
    parts: Vec<(Range<u64>, Vec<u8>)>,
}

impl Came {
    /// Adds an answer; one of another length than was asked for is none.
    pub(super) fn add(&mut self, range: Range<u64>, bytes: &[u8]) {
        if bytes.len() as u64 == range.end - range.start {
            self.parts.push((range, bytes.to_vec()));
        }
    }

    /// The bytes of a range, when they came.
    pub(super) fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        let after = self.parts.partition_point(|(part, _)| part.start <= range.start);
        let (part, bytes) = self.parts.get(after.checked_sub(1)?)?;
        let from = usize::try_from(range.start - part.start).ok()?;
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        bytes.get(from..from.checked_add(len)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_wanted_byte_is_in_one_of_few_ranges(starts in prop::collection::vec((0u64..1_000_000, 0u64..300), 0..900)) {
            let wanted: Vec<_> = starts.iter().map(|(at, len)| *at..at + len).collect();
            let merged = merge(wanted.clone());
            prop_assert!(merged.len() <= MAX_RANGES);
            prop_assert!(merged.windows(2).all(|pair| pair[0].end < pair[1].start));
            let mut came = Came::default();
            for range in &merged {
                let bytes: Vec<u8> = range.clone().map(|n| n.to_le_bytes()[0]).collect();
                came.add(range.clone(), &bytes);
            }
            for range in wanted.iter().filter(|range| !range.is_empty()) {
                let right: Vec<u8> = range.clone().map(|n| n.to_le_bytes()[0]).collect();
                prop_assert_eq!(came.get(range), Some(&right[..]));
            }
        }
    }

    #[test]
    fn what_did_not_come_is_not_there() {
        let mut came = Came::default();
        came.add(10..14, b"abcd");
        came.add(20..24, b"short");
        assert_eq!(came.get(&(11..13)), Some(&b"bc"[..]));
        assert_eq!(came.get(&(12..15)), None);
        assert_eq!(came.get(&(9..11)), None);
        assert_eq!(came.get(&(20..21)), None);
    }
}
