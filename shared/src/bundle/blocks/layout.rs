//! Where in the blocks file the tables of each item lie: it follows from signed sizes alone.

use std::{collections::HashMap, ops::Range};

use super::{GROUP, Kind, MAX_BLOCKED_BYTES, SMALLEST_BLOCK};
use crate::{bundle::contents::Content, ids::Digest};

/// The manifest or one content, and the places of its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) cut: Cut,
    /// Where its checks begin.
    checks: u64,
    /// Where its groups begin.
    groups: u64,
}

/// How an item of some size is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Bytes of a block.
    pub(super) block: u64,
    /// How many blocks there are.
    pub(super) blocks: u64,
    /// How many groups there are.
    pub(super) groups: u64,
}

/// Bytes of a rolling hash in an entry.
pub(super) const CHECK_BYTES: u64 = 3;

impl Cut {
    pub(super) fn of(size: u64) -> Self {
        let mut block = SMALLEST_BLOCK;
        // Checks grow with the size, blobs with the block: so both grow with the root of the size.
        while block * block * 8 < size {
            block *= 2;
        }
        let blocks = size.div_ceil(block);
        Self {
            block,
            blocks,
            groups: blocks.div_ceil(GROUP),
        }
    }

    pub(super) fn checks_len(&self) -> u64 {
        if self.groups > 1 { self.groups * 4 } else { 0 }
    }

    /// Bytes of a blob's length.
    pub(super) fn width(&self) -> u64 {
        if self.block == SMALLEST_BLOCK { 1 } else { 2 }
    }

    fn entry_len(&self) -> u64 {
        CHECK_BYTES + self.width()
    }

    fn groups_len(&self) -> u64 {
        self.groups * 4 + self.blocks * self.entry_len()
    }

    /// Which blocks a group has.
    pub(super) fn blocks_of(&self, group: u64) -> Range<u64> {
        group * GROUP..self.blocks.min((group + 1) * GROUP)
    }
}

impl Item {
    /// The bytes of the checks.
    pub(super) fn checks(&self) -> Range<u64> {
        self.checks..self.checks + self.cut.checks_len()
    }

    /// The bytes of one group.
    pub(super) fn group(&self, group: u64) -> Range<u64> {
        let blocks = self.cut.blocks_of(group);
        let start = self.groups + group * 4 + blocks.start * self.cut.entry_len();
        start..start + 4 + (blocks.end - blocks.start) * self.cut.entry_len()
    }

    /// Which bytes of the item a block is.
    pub(super) fn block(&self, block: u64) -> Range<u64> {
        block * self.cut.block..self.size.min((block + 1) * self.cut.block)
    }

    /// Which bytes of the item a group is.
    pub(super) fn span(&self, group: u64) -> Range<u64> {
        let blocks = self.cut.blocks_of(group);
        blocks.start * self.cut.block..self.size.min(blocks.end * self.cut.block)
    }
}

/// The manifest's item in a blocks file of `len` bytes; `None` when the file is too short to have its tables.
pub(super) fn manifest(len: u64, digest: Digest, size: u64) -> Option<Item> {
    let cut = Cut::of(size);
    let checks = len.checked_sub(cut.checks_len() + cut.groups_len())?;
    Some(Item {
        kind: Kind::Manifest,
        digest,
        size,
        cut,
        checks,
        groups: checks + cut.checks_len(),
    })
}

/// Every content's item, by digest; `None` when the file is too short to have their tables.
pub(super) fn contents(len: u64, manifest_size: u64, contents: &[Content]) -> Option<HashMap<Digest, Item>> {
    let end = manifest(len, Digest([0; 32]), manifest_size)?.checks;
    let cuts: Vec<_> = blocked(contents)
        .map(|content| (content, Cut::of(content.size)))
        .collect();
    let all_checks: u64 = cuts.iter().map(|(_, cut)| cut.checks_len()).sum();
    let all_groups: u64 = cuts.iter().map(|(_, cut)| cut.groups_len()).sum();
    let mut checks = end.checked_sub(all_checks + all_groups)?;
    let mut groups = checks + all_checks;
    let mut items = HashMap::with_capacity(cuts.len());
    for (content, cut) in cuts {
        let item = Item {
            kind: Kind::Content,
            digest: content.digest,
            size: content.size,
            cut,
            checks,
            groups,
        };
        items.insert(content.digest, item);
        checks += cut.checks_len();
        groups += cut.groups_len();
    }
    Some(items)
}

/// The contents that are cut into blocks.
pub(super) fn blocked(contents: &[Content]) -> impl Iterator<Item = &Content> {
    contents.iter().filter(|content| content.size <= MAX_BLOCKED_BYTES)
}
