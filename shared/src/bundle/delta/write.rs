//! Writing a delta pack. The same two releases and level give the same bytes.

use super::{DeltaError, MAGIC, missing, similar::Ancestry};
use crate::bundle::{
    codec,
    contents::Content,
    limits::{MAX_DELTA_BYTES, MAX_PATCHED_FILE_BYTES},
    manifest::Manifest,
    pack::{ContentSource, PackError},
    pack::{groups, read_checked},
    varint,
};

/// What a delta pack came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenDelta {
    /// The delta pack.
    pub bytes: Vec<u8>,
    /// Of those, the manifest's patch.
    pub manifest_patch: u64,
    /// Contents sent as patches.
    pub patched: usize,
    /// Contents sent whole.
    pub plain: usize,
}

/// Patches, plain contents and where each came from.
#[derive(Default)]
struct Parts {
    sources: Vec<u8>,
    patches: Vec<Vec<u8>>,
    plain: Vec<(Content, Vec<u8>)>,
    total: u64,
}

/// Writes the delta pack between two releases, both of whose contents are at hand.
///
/// # Errors
/// When a content can not be read or is another than its manifest says, or when the delta would be larger than one
/// may be.
pub fn write(
    (from, old): (&Manifest, &mut dyn ContentSource),
    (to, new): (&Manifest, &mut dyn ContentSource),
    level: i32,
) -> Result<WrittenDelta, DeltaError> {
    let manifest_bytes = to.to_bytes()?;
    let patch = codec::compress_with_prefix(&manifest_bytes, &from.to_bytes()?, level).map_err(compressor)?;
    let installed = from.contents();
    let ancestry = Ancestry::new(from, to, &installed);
    let mut parts = Parts::default();
    for content in missing(&installed, to) {
        let raw = read_checked(new, &content).map_err(source_error)?;
        let best = best_patch(
            &content,
            &raw,
            &ancestry.candidates(&content, &installed),
            &installed,
            old,
            level,
        )?;
        parts.add(content, raw, best)?;
    }
    let (patched, plain) = (parts.patches.len(), parts.plain.len());
    let (table, blobs) = parts.finish(level)?;

    let mut out = MAGIC.to_vec();
    varint::put(&mut out, manifest_bytes.len() as u64);
    for part in [&patch, &table] {
        varint::put(&mut out, part.len() as u64);
        out.extend(part);
    }
    out.extend(blobs);
    if out.len() as u64 > MAX_DELTA_BYTES {
        return Err(DeltaError::TooLarge);
    }
    Ok(WrittenDelta {
        bytes: out,
        manifest_patch: patch.len() as u64,
        patched,
        plain,
    })
}

/// The smallest patch among the candidates, with its prefix's number, when one is smaller than the content alone.
fn best_patch(
    content: &Content,
    raw: &[u8],
    candidates: &[usize],
    installed: &[Content],
    old: &mut dyn ContentSource,
    level: i32,
) -> Result<Option<(usize, Vec<u8>)>, DeltaError> {
    let mut best: Option<(usize, Vec<u8>)> = None;
    if content.size > MAX_PATCHED_FILE_BYTES {
        return Ok(None);
    }
    for &number in candidates {
        let Some(prefix) = installed.get(number).filter(|c| c.size <= MAX_PATCHED_FILE_BYTES) else {
            continue;
        };
        let prefix = read_checked(old, prefix).map_err(source_error)?;
        let patch = codec::compress_with_prefix(raw, &prefix, level).map_err(compressor)?;
        if best.as_ref().is_none_or(|(_, known)| patch.len() < known.len()) {
            best = Some((number, patch));
        }
    }
    let Some(found) = best else {
        return Ok(None);
    };
    let alone = codec::compress(raw, level).map_err(compressor)?;
    Ok((found.1.len() < alone.len()).then_some(found))
}

impl Parts {
    fn add(&mut self, content: Content, raw: Vec<u8>, best: Option<(usize, Vec<u8>)>) -> Result<(), DeltaError> {
        if let Some((number, patch)) = best {
            varint::put(&mut self.sources, number as u64 + 1);
            self.total += patch.len() as u64;
            self.patches.push(patch);
        } else {
            varint::put(&mut self.sources, 0);
            self.total += raw.len() as u64 / 64;
            self.plain.push((content, raw));
        }
        // Nothing compresses a release much better than this, and the publisher's memory is bounded too.
        if self.total > MAX_DELTA_BYTES {
            Err(DeltaError::TooLarge)
        } else {
            Ok(())
        }
    }

    fn finish(self, level: i32) -> Result<(Vec<u8>, Vec<u8>), DeltaError> {
        let mut table = self.sources;
        let contents: Vec<Content> = self.plain.iter().map(|(c, _)| *c).collect();
        let ranges: Vec<_> = groups(&contents).collect();
        varint::put(&mut table, ranges.len() as u64);
        for range in &ranges {
            varint::put(&mut table, range.len() as u64);
        }
        let mut blobs = self.patches.concat();
        for patch in &self.patches {
            varint::put(&mut table, patch.len() as u64);
        }
        for range in ranges {
            let raw: Vec<u8> = self.plain[range].iter().flat_map(|(_, raw)| raw).copied().collect();
            let blob = codec::compress(&raw, level).map_err(compressor)?;
            varint::put(&mut table, blob.len() as u64);
            blobs.extend(blob);
        }
        Ok((codec::compress(&table, level).map_err(compressor)?, blobs))
    }
}

fn compressor(e: codec::CodecError) -> DeltaError {
    DeltaError::Io(std::io::Error::other(e))
}

fn source_error(e: PackError) -> DeltaError {
    match e {
        PackError::WrongDigest(digest) => DeltaError::WrongDigest(digest),
        PackError::Io(e) => DeltaError::Io(e),
        other => DeltaError::Io(std::io::Error::other(other)),
    }
}
