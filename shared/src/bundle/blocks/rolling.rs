//! Finding pieces of a new file in an old one, wherever they lie: a polynomial hash that slides over every offset.

use std::{collections::HashMap, ops::Range};

/// The polynomial's base; odd, so that no byte is ever multiplied away.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;
/// Spreads the polynomial's bits over the check.
const MIX: u64 = 0xD6E8_FEB8_6659_FD93;

/// The hash of a stretch of bytes that can be moved by one.
struct Window {
    hash: u64,
    /// `BASE` to the power of the window's length.
    leaving: u64,
}

impl Window {
    fn over(bytes: &[u8]) -> Self {
        let mut window = Self { hash: 0, leaving: 1 };
        for byte in bytes {
            window.hash = window.hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte));
            window.leaving = window.leaving.wrapping_mul(BASE);
        }
        window
    }

    fn slide(&mut self, leaves: u8, enters: u8) {
        let leaves = u64::from(leaves).wrapping_mul(self.leaving);
        let hash = self.hash.wrapping_mul(BASE).wrapping_add(u64::from(enters));
        self.hash = hash.wrapping_sub(leaves);
    }

    fn check(&self) -> u32 {
        let mixed = (self.hash ^ (self.hash >> 31)).wrapping_mul(MIX);
        let [.., a, b, c, d] = mixed.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// The check of some bytes.
pub(super) fn check(bytes: &[u8]) -> u32 {
    Window::over(bytes).check()
}

/// One piece that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) len: usize,
    pub(super) check: u32,
}

/// Looks in `old` for pieces that follow each other in the new file, each by those bits of its check that `mask` has;
/// gives where each begins. Every piece but the last has the same length.
pub(super) fn find(old: &[u8], windows: &[Range<usize>], pieces: &[Piece], mask: u32) -> Vec<Option<usize>> {
    let mut search = Search {
        old,
        pieces,
        mask,
        places: vec![None; pieces.len()],
    };
    if let Some(window) = windows.first() {
        search.follow(0, window.start);
    }
    let mut lengths: Vec<usize> = pieces.iter().map(|piece| piece.len).collect();
    lengths.dedup();
    for len in lengths {
        for window in windows {
            search.scan(window.clone(), len);
        }
    }
    search.places
}

struct Search<'a> {
    old: &'a [u8],
    pieces: &'a [Piece],
    mask: u32,
    places: Vec<Option<usize>>,
}

impl Search<'_> {
    /// What lies behind a piece that was found is most likely the next.
    fn follow(&mut self, mut number: usize, mut at: usize) {
        while let (Some(piece), Some(None)) = (self.pieces.get(number), self.places.get(number)) {
            let Some(there) = at.checked_add(piece.len).and_then(|end| self.old.get(at..end)) else {
                return;
            };
            if check(there) & self.mask != piece.check & self.mask {
                return;
            }
            if let Some(place) = self.places.get_mut(number) {
                *place = Some(at);
            }
            number += 1;
            at += piece.len;
        }
    }

    /// Looks at every offset for pieces of this length that are still missing.
    fn scan(&mut self, window: Range<usize>, len: usize) {
        let mut wanted: HashMap<u32, Vec<usize>> = HashMap::new();
        // Most offsets are told apart without the map.
        let mut likely = vec![false; 1 << 16];
        for (number, piece) in self.pieces.iter().enumerate() {
            if piece.len == len && self.places.get(number) == Some(&None) {
                let check = piece.check & self.mask;
                wanted.entry(check).or_default().push(number);
                likely[low(check)] = true;
            }
        }
        let Some(old) = self.old.get(window.clone()).filter(|old| len > 0 && old.len() >= len) else {
            return;
        };
        let mut rolling = Window::over(&old[..len]);
        for at in 0..=old.len() - len {
            if wanted.is_empty() {
                return;
            }
            let check = rolling.check() & self.mask;
            if likely[low(check)]
                && let Some(numbers) = wanted.remove(&check)
            {
                for number in numbers {
                    self.follow(number, window.start + at);
                }
            }
            if let (Some(leaves), Some(enters)) = (old.get(at), old.get(at + len)) {
                rolling.slide(*leaves, *enters);
            }
        }
    }
}

fn low(check: u32) -> usize {
    let [a, b, ..] = check.to_le_bytes();
    usize::from(u16::from_le_bytes([a, b]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_that_slid_has_the_hash_of_what_it_is_over(bytes in prop::collection::vec(any::<u8>(), 8..200), len in 1usize..8) {
            let mut window = Window::over(&bytes[..len]);
            for at in 0..bytes.len() - len {
                prop_assert_eq!(window.check(), check(&bytes[at..at + len]));
                window.slide(bytes[at], bytes[at + len]);
            }
        }

        #[test]
        fn what_is_found_is_there(old in prop::collection::vec(0u8..4, 0..300), new in prop::collection::vec(0u8..4, 1..100), len in 1usize..16) {
            let parts: Vec<&[u8]> = new.chunks(len).collect();
            let pieces: Vec<_> = parts.iter().map(|p| Piece { len: p.len(), check: check(p) }).collect();
            let whole = 0..old.len();
            let places = find(&old, std::slice::from_ref(&whole), &pieces, u32::MAX);
            for (part, place) in parts.iter().zip(places) {
                let there = old.windows(part.len()).position(|w| w == *part);
                prop_assert_eq!(place.is_some(), there.is_some());
                prop_assert!(place.is_none_or(|at| old[at..].starts_with(part)));
            }
        }
    }
}
