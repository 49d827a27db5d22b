//! Writing a blocks file. The same manifest gives the same bytes.

use std::io::{self, Write};

use super::{
    Kind,
    layout::{Cut, blocked},
    rolling,
};
use crate::bundle::{
    contents::Content,
    manifest::Manifest,
    pack::{ContentSource, PackError, read_checked},
};

/// What a blocks file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenBlocks {
    /// Its length, in bytes.
    pub len: u64,
    /// Of those, the tables.
    pub tables_len: u64,
}

#[derive(Default)]
struct Tables {
    checks: Vec<u8>,
    groups: Vec<u8>,
}

/// Writes the blocks file of a manifest; `done` is told how many raw bytes have been cut.
///
/// # Errors
/// When a content can not be read, is another than the manifest says, or the file can not be written.
pub fn write(
    manifest: &Manifest,
    source: &mut dyn ContentSource,
    out: &mut dyn Write,
    done: &mut dyn FnMut(u64),
) -> Result<WrittenBlocks, PackError> {
    let bytes = manifest.to_bytes().map_err(io::Error::other)?;
    let mut blobs = Blobs { out, len: 0 };
    let (mut own, mut of_contents) = (Tables::default(), Tables::default());
    blobs.item(Kind::Manifest, &bytes, &mut own)?;
    let contents = manifest.contents();
    let contents: Vec<Content> = blocked(&contents).copied().collect();
    let mut cut = 0;
    for content in contents {
        let raw = read_checked(source, &content)?;
        blobs.item(Kind::Content, &raw, &mut of_contents)?;
        cut += content.size;
        done(cut);
    }
    let mut len = blobs.len;
    for table in [of_contents.checks, of_contents.groups, own.checks, own.groups] {
        blobs.out.write_all(&table)?;
        len += table.len() as u64;
    }
    Ok(WrittenBlocks {
        len,
        tables_len: len - blobs.len,
    })
}

/// What is written of blobs.
struct Blobs<'a> {
    out: &'a mut dyn Write,
    len: u64,
}

impl Blobs<'_> {
    fn item(&mut self, kind: Kind, raw: &[u8], tables: &mut Tables) -> io::Result<()> {
        let cut = Cut::of(raw.len() as u64);
        let size = |bytes: u64| usize::try_from(bytes).map_err(io::Error::other);
        let block_len = size(cut.block)?;
        let groups = raw.chunks(size(cut.block * super::GROUP)?);
        let mut before = 0;
        for group in groups {
            if cut.groups > 1 {
                tables.checks.extend(rolling::check(group).to_le_bytes());
            }
            let base = u32::try_from(self.len).map_err(io::Error::other)?;
            tables.groups.extend(base.to_le_bytes());
            for block in group.chunks(block_len) {
                let blob = kind.pack(raw.split_at(before).0, block).map_err(io::Error::other)?;
                let [a, b, c, _] = rolling::check(block).to_le_bytes();
                tables.groups.extend([a, b, c]);
                let length = u16::try_from(blob.len() - 1).map_err(io::Error::other)?;
                let width = size(cut.width())?;
                tables.groups.extend(length.to_le_bytes().split_at(width).0);
                self.out.write_all(&blob)?;
                self.len += blob.len() as u64;
                before += block.len();
            }
        }
        Ok(())
    }
}
