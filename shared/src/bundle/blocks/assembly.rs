//! Putting one item together from what is installed and what was fetched.

use std::{collections::BTreeMap, ops::Range};

use super::{
    layout::{CHECK_BYTES, Item},
    ranges::Came,
    rolling::{self, Piece},
};
use crate::ids::Digest;

/// How far around the place where it should be a block is looked for, in bytes: its check is too short to be looked
/// for everywhere.
const REACH: usize = 32 * 1024;
/// The bits of a rolling hash that an entry has.
const ENTRY_MASK: u32 = 0x00ff_ffff;

/// Where a block comes from.
#[derive(Debug, Clone)]
struct Block {
    /// Its bytes in the installed file, when it was found there.
    old: Option<usize>,
    /// Its blob.
    blob: Range<u64>,
}

/// One item on its way.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) item: Item,
    old: Vec<u8>,
    groups: Vec<Option<usize>>,
    blocks: BTreeMap<usize, Vec<Block>>,
}

impl Assembly {
    /// `old` is where pieces of the item may be found.
    pub(super) fn new(item: Item, old: Vec<u8>) -> Self {
        let groups = usize::try_from(item.cut.groups).unwrap_or(0);
        Self {
            item,
            old,
            groups: vec![None; groups],
            blocks: BTreeMap::new(),
        }
    }

    /// The range of the checks; empty when they would be of no use.
    pub(super) fn checks(&self) -> Range<u64> {
        let range = self.item.checks();
        if self.old.is_empty() {
            range.start..range.start
        } else {
            range
        }
    }

    /// Looks for the groups.
    pub(super) fn take_checks(&mut self, came: &Came) -> Option<()> {
        let range = self.checks();
        if range.is_empty() {
            return Some(());
        }
        let bytes = came.get(&range)?;
        let pieces: Vec<Piece> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .zip(0..)
            .map(|(check, group)| piece(&self.item.span(group), u32::from_le_bytes(*check)))
            .collect();
        let everywhere = 0..self.old.len();
        self.groups = rolling::find(&self.old, std::slice::from_ref(&everywhere), &pieces, u32::MAX);
        Some(())
    }

    /// Whether anything was found.
    pub(super) fn knows_some(&self) -> bool {
        self.groups.iter().any(Option::is_some)
    }

    /// The ranges of the groups that were not found.
    pub(super) fn groups(&self) -> impl Iterator<Item = Range<u64>> {
        self.missing().map(|(_, group)| self.item.group(group))
    }

    fn missing(&self) -> impl Iterator<Item = (usize, u64)> {
        let numbered = self.groups.iter().enumerate().zip(0u64..);
        numbered.filter_map(|((index, place), group)| place.is_none().then_some((index, group)))
    }

    /// Looks for the blocks of the groups that were not found; `len` is the file's length.
    pub(super) fn take_groups(&mut self, came: &Came, len: u64) -> Option<()> {
        for (index, group) in self.missing().collect::<Vec<_>>() {
            let bytes = came.get(&self.item.group(group))?;
            let (mut blob, mut entries) = bytes
                .split_first_chunk::<4>()
                .map(|(base, rest)| (u64::from(u32::from_le_bytes(*base)), rest))?;
            let (mut pieces, mut blocks) = (Vec::new(), Vec::new());
            for block in self.item.cut.blocks_of(group) {
                let (check, length);
                (check, length, entries) = entry(entries, self.item.cut.width())?;
                let span = self.item.block(block);
                let end = blob.checked_add(length)?;
                if length > span.end - span.start || end > len {
                    return None;
                }
                pieces.push(piece(&span, check));
                blocks.push(Block {
                    old: None,
                    blob: blob..end,
                });
                blob = end;
            }
            let places = rolling::find(&self.old, &self.around(index), &pieces, ENTRY_MASK);
            for (block, place) in blocks.iter_mut().zip(places) {
                block.old = place;
            }
            self.blocks.insert(index, blocks);
        }
        Some(())
    }

    /// Where in the installed file a group's blocks should be: behind the group before it, before the one after it.
    fn around(&self, group: usize) -> Vec<Range<usize>> {
        let all = self.old.len();
        let step = usize::try_from(self.item.cut.block * super::GROUP).unwrap_or(usize::MAX);
        let (before, after) = self.groups.split_at(group);
        let left = before
            .iter()
            .rev()
            .find_map(|place| *place)
            .map_or(0, |at| at.saturating_add(step).min(all));
        let right = after.iter().find_map(|place| *place).unwrap_or(all);
        if left > right {
            // They have changed places.
            return vec![left..all.min(left + REACH), right.saturating_sub(REACH)..right];
        }
        if right - left <= 2 * REACH {
            return std::iter::once(left..right).collect();
        }
        vec![left..left + REACH, right - REACH..right]
    }

    /// The blobs of the blocks that were not found.
    pub(super) fn blobs(&self) -> impl Iterator<Item = Range<u64>> {
        let blocks = self.blocks.values().flatten();
        blocks
            .filter(|block| block.old.is_none())
            .map(|block| block.blob.clone())
    }

    /// Takes nothing that a short check has found for granted; whether there was any such thing.
    pub(super) fn doubt(&mut self) -> bool {
        let mut any = false;
        for block in self.blocks.values_mut().flatten() {
            any |= block.old.take().is_some();
        }
        any
    }

    /// The item, when it is the signed one.
    pub(super) fn finish(&self, came: &Came) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(usize::try_from(self.item.size).ok()?);
        for (index, (place, group)) in self.groups.iter().zip(0u64..).enumerate() {
            match place {
                Some(at) => out.extend(self.taken(*at, &self.item.span(group))?),
                None => self.unpack(&mut out, index, group, came)?,
            }
        }
        (Digest::of(&out) == self.item.digest).then_some(out)
    }

    fn unpack(&self, out: &mut Vec<u8>, index: usize, group: u64, came: &Came) -> Option<()> {
        for (block, number) in self.blocks.get(&index)?.iter().zip(self.item.cut.blocks_of(group)) {
            let span = self.item.block(number);
            if let Some(at) = block.old {
                out.extend(self.taken(at, &span)?);
            } else {
                let blob = came.get(&block.blob)?;
                let len = usize::try_from(span.end - span.start).ok()?;
                self.item.kind.unpack(out, blob, len).ok()?;
            }
        }
        Some(())
    }

    fn taken(&self, at: usize, span: &Range<u64>) -> Option<&[u8]> {
        let len = usize::try_from(span.end - span.start).ok()?;
        self.old.get(at..at.checked_add(len)?)
    }
}

fn piece(span: &Range<u64>, check: u32) -> Piece {
    Piece {
        len: usize::try_from(span.end - span.start).unwrap_or(usize::MAX),
        check,
    }
}

/// One entry, and what follows it.
fn entry(bytes: &[u8], width: u64) -> Option<(u32, u64, &[u8])> {
    const { assert!(CHECK_BYTES == 3, "as read here") };
    let ([a, b, c], rest) = bytes.split_first_chunk::<3>()?;
    let check = u32::from_le_bytes([*a, *b, *c, 0]);
    if width == 1 {
        let (length, rest) = rest.split_first()?;
        return Some((check, u64::from(*length) + 1, rest));
    }
    let (length, rest) = rest.split_first_chunk::<2>()?;
    Some((check, u64::from(u16::from_le_bytes(*length)) + 1, rest))
}
