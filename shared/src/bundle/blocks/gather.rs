//! Fetching several items together: what to ask for next, given what came.

use std::{io, ops::Range};

use super::{
    assembly::Assembly,
    layout,
    ranges::{Came, merge, total},
};
use crate::{
    bundle::{contents::Content, delta::Ancestry, limits::MAX_MANIFEST_BYTES, manifest::Manifest, pack::GROUP_BYTES},
    ids::Digest,
};

/// The most contents that are gathered; a larger update goes by frames.
const MAX_ITEMS: usize = 1024;
/// The most that old and new contents may take in memory together, in bytes.
const MAX_MEMORY: u64 = 32 * 1024 * 1024;

/// Gathers a manifest or contents from what is installed and a blocks file. Drive it so: [`Gathering::step`] with what
/// came for the ranges that it asked for last (nothing at first), until it asks for nothing; then
/// [`Gathering::finish`].
#[derive(Debug)]
pub struct Gathering {
    /// The file's length.
    len: u64,
    /// How many bytes may yet be asked for.
    left: u64,
    open: Vec<Assembly>,
    done: Vec<(Digest, Vec<u8>)>,
    stage: Stage,
    asked: Vec<Range<u64>>,
    came: Came,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Checks,
    Groups,
    Blobs,
    Doubt,
    End,
}

/// A release whose contents are not all here, and the one that is.
#[derive(Debug, Clone, Copy)]
pub struct Lacking<'a> {
    /// The release's manifest.
    pub to: &'a Manifest,
    /// The length of its canonical bytes.
    pub manifest_size: u64,
    /// The installed release.
    pub from: &'a Manifest,
}

impl Gathering {
    /// Gathers a manifest of `size` bytes from an `installed` one, asking for less than `most` bytes of a blocks file
    /// of `len` bytes.
    pub fn manifest(len: u64, (digest, size): (Digest, u64), installed: Vec<u8>, most: u64) -> Self {
        let item = layout::manifest(len, digest, size).filter(|_| size <= MAX_MANIFEST_BYTES);
        let open = item.map(|item| Assembly::new(item, installed));
        Self::new(len, most, open.into_iter().collect())
    }

    /// Gathers contents that one does not `have` from installed ones, of which `read` gives the bytes. Those that are
    /// not worth it are left for the frames.
    ///
    /// # Errors
    /// None of reading: what can not be read is as good as not installed.
    pub fn contents(
        len: u64,
        release: Lacking<'_>,
        have: &dyn Fn(&Digest) -> bool,
        read: &mut dyn FnMut(&Content) -> io::Result<Vec<u8>>,
    ) -> Self {
        let mut wanted = release.to.contents();
        let items = layout::contents(len, release.manifest_size, &wanted).unwrap_or_default();
        wanted.retain(|content| !have(&content.digest));
        if wanted.len() > MAX_ITEMS {
            return Self::new(len, 0, Vec::new());
        }
        let installed = release.from.contents();
        let ancestry = Ancestry::new(release.from, release.to, &installed);
        let (mut open, mut memory, mut most) = (Vec::new(), 0, GROUP_BYTES);
        for content in wanted {
            let Some(item) = items.get(&content.digest) else {
                continue;
            };
            let near = ancestry.candidates(&content, &installed);
            let near: Vec<&Content> = near.into_iter().filter_map(|number| installed.get(number)).collect();
            let takes = content.size + near.iter().map(|old| old.size).sum::<u64>();
            if memory + takes > MAX_MEMORY {
                continue;
            }
            memory += takes;
            let old: Vec<u8> = near.into_iter().filter_map(|old| read(old).ok()).flatten().collect();
            // A large content of which nothing is known is the frames' business.
            if !old.is_empty() || content.size <= GROUP_BYTES {
                most += content.size;
                open.push(Assembly::new(*item, old));
            }
        }
        Self::new(len, most, open)
    }

    fn new(len: u64, left: u64, open: Vec<Assembly>) -> Self {
        Self {
            len,
            left,
            open,
            done: Vec::new(),
            stage: Stage::Begin,
            asked: Vec::new(),
            came: Came::default(),
        }
    }

    /// Takes what came for the ranges that were asked for last, in their order, and gives those to ask for next;
    /// none at the end. An answer that is missing or too short costs the items that needed it.
    pub fn step<B: AsRef<[u8]>>(&mut self, came: &[B]) -> Vec<Range<u64>> {
        self.came = Came::default();
        for (range, bytes) in std::mem::take(&mut self.asked).into_iter().zip(came) {
            self.came.add(range, bytes.as_ref());
        }
        // Every turn comes to a later stage.
        while self.stage != Stage::End {
            let wanted = merge(self.advance());
            let cost = total(&wanted);
            if cost > self.left {
                self.open.clear();
                self.stage = Stage::End;
            } else if !wanted.is_empty() {
                self.left -= cost;
                self.asked.clone_from(&wanted);
                return wanted;
            }
        }
        Vec::new()
    }

    /// Every item that came together, each the signed one.
    pub fn finish(self) -> Vec<(Digest, Vec<u8>)> {
        self.done
    }

    /// Goes to the next stage with what is there, and gives the ranges that it needs.
    fn advance(&mut self) -> Vec<Range<u64>> {
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Checks;
                self.open.iter().map(Assembly::checks).collect()
            }
            Stage::Checks => {
                self.stage = Stage::Groups;
                self.open.retain_mut(|item| item.take_checks(&self.came).is_some());
                self.open
                    .retain(|item| item.knows_some() || item.item.size <= GROUP_BYTES);
                self.open.iter().flat_map(Assembly::groups).collect()
            }
            Stage::Groups => {
                self.stage = Stage::Blobs;
                self.open
                    .retain_mut(|item| item.take_groups(&self.came, self.len).is_some());
                self.open.retain(is_worth_it);
                self.open.iter().flat_map(Assembly::blobs).collect()
            }
            Stage::Blobs => {
                self.stage = Stage::Doubt;
                self.settle();
                // Once more, without what the short checks said.
                self.open.retain_mut(Assembly::doubt);
                self.open.iter().flat_map(Assembly::blobs).collect()
            }
            Stage::Doubt | Stage::End => {
                self.stage = Stage::End;
                self.settle();
                Vec::new()
            }
        }
    }

    fn settle(&mut self) {
        let (came, done) = (&self.came, &mut self.done);
        self.open.retain(|item| match item.finish(came) {
            Some(bytes) => {
                done.push((item.item.digest, bytes));
                false
            }
            None => true,
        });
    }
}

/// Of a large content so little may be known that its frame is cheaper: that is compressed as a whole.
fn is_worth_it(item: &Assembly) -> bool {
    let blobs: u64 = item.blobs().map(|blob| blob.end - blob.start).sum();
    item.item.size <= GROUP_BYTES || blobs <= item.item.size / 5
}
