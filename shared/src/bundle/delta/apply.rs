//! From a delta pack and the installed files to checked contents.

use std::io;

use super::{DeltaError, MAGIC, missing};
use crate::{
    bundle::{
        codec,
        contents::{Content, ContentSink, CutError, Cutter},
        limits::{MAX_DELTA_BYTES, MAX_MANIFEST_BYTES, MAX_PATCHED_FILE_BYTES},
        manifest::Manifest,
        varint,
    },
    ids::Digest,
};

/// A delta pack whose manifest has been read and checked against the release's digest.
#[derive(Debug)]
pub struct Delta<'a> {
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    steps: Vec<Step>,
    blobs: &'a [u8],
}

/// One blob.
#[derive(Debug)]
struct Step {
    /// The installed content that it is a patch of; `None` for plain.
    prefix: Option<Content>,
    /// What comes out; one content for a patch.
    contents: Vec<Content>,
    /// Bytes of the blob.
    len: usize,
}

impl<'a> Delta<'a> {
    /// Opens the delta pack that leads from the installed manifest (with its canonical bytes) to the release of this
    /// digest.
    ///
    /// # Errors
    /// When it does not, or is damaged.
    pub fn open(bytes: &'a [u8], (from, from_bytes): (&Manifest, &[u8]), to: &Digest) -> Result<Self, DeltaError> {
        if bytes.len() as u64 > MAX_DELTA_BYTES {
            return Err(DeltaError::TooLarge);
        }
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(DeltaError::Damaged)?;
        let size = varint::take(&mut rest).filter(|n| *n <= MAX_MANIFEST_BYTES);
        let size = size.and_then(|n| usize::try_from(n).ok()).ok_or(DeltaError::Damaged)?;
        let patch = part(&mut rest)?;
        let manifest_bytes = codec::decompress_with_prefix(patch, from_bytes, size).map_err(|_| DeltaError::Damaged)?;
        if Digest::of(&manifest_bytes) != *to {
            return Err(DeltaError::OtherRelease);
        }
        let manifest = Manifest::parse(&manifest_bytes)?;
        let installed = from.contents();
        let wanted = missing(&installed, &manifest);
        let table = part(&mut rest)?;
        let steps = read_table(table, &installed, &wanted).ok_or(DeltaError::Damaged)?;
        let total = steps.iter().try_fold(0usize, |sum, step| sum.checked_add(step.len));
        if total != Some(rest.len()) {
            return Err(DeltaError::Damaged);
        }
        Ok(Self {
            manifest,
            manifest_bytes,
            steps,
            blobs: rest,
        })
    }

    /// The new manifest, checked.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its canonical bytes.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// Takes the new manifest and its canonical bytes out.
    pub fn into_manifest(self) -> (Manifest, Vec<u8>) {
        (self.manifest, self.manifest_bytes)
    }

    /// Gives every content that the installed release has not. `installed` reads a content of the installed release.
    ///
    /// # Errors
    /// At the first that is damaged, whose installed file was changed, or that the sink or `installed` fails on.
    /// Contents that were accepted before stay good.
    pub fn unpack(
        &self,
        installed: &mut dyn FnMut(&Content) -> io::Result<Vec<u8>>,
        sink: &mut dyn ContentSink,
    ) -> Result<(), DeltaError> {
        let mut blobs = self.blobs;
        for step in &self.steps {
            let (blob, rest) = blobs.split_at_checked(step.len).ok_or(DeltaError::Damaged)?;
            blobs = rest;
            let wanted = step.contents.iter().any(|c| sink.wants(c));
            if !wanted {
                continue;
            }
            let raw = step.decode(blob, installed)?;
            let mut contents = step.contents.iter().copied();
            let mut cutter = Cutter::new();
            cutter.push(&raw, &mut || contents.next(), sink).map_err(|e| match e {
                CutError::Surplus => DeltaError::Damaged,
                CutError::WrongDigest(digest) => DeltaError::WrongDigest(digest),
                CutError::Sink(e) => DeltaError::Io(e),
            })?;
        }
        Ok(())
    }
}

impl Step {
    fn decode(
        &self,
        blob: &[u8],
        installed: &mut dyn FnMut(&Content) -> io::Result<Vec<u8>>,
    ) -> Result<Vec<u8>, DeltaError> {
        let size: u64 = self.contents.iter().map(|c| c.size).sum();
        let Some(prefix) = &self.prefix else {
            let raw = codec::decompress(blob, size).map_err(|_| DeltaError::Damaged)?;
            return if raw.len() as u64 == size {
                Ok(raw)
            } else {
                Err(DeltaError::Damaged)
            };
        };
        let old = installed(prefix)?;
        let size = usize::try_from(size).map_err(|_| DeltaError::TooLarge)?;
        codec::decompress_with_prefix(blob, &old, size).map_err(|_| {
            // A changed file is the likelier cause, and the caller's way on is the same.
            self.contents
                .first()
                .map_or(DeltaError::Damaged, |c| DeltaError::WrongDigest(c.digest))
        })
    }
}

/// A length and as many bytes.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], DeltaError> {
    let len = varint::take(rest).and_then(|n| usize::try_from(n).ok());
    let (part, after) = len.and_then(|n| rest.split_at_checked(n)).ok_or(DeltaError::Damaged)?;
    *rest = after;
    Ok(part)
}

fn read_table(table: &[u8], installed: &[Content], wanted: &[Content]) -> Option<Vec<Step>> {
    // Three numbers of at most ten bytes for each content are more than a table has.
    let raw = codec::decompress(table, 16 + wanted.len() as u64 * 30).ok()?;
    let mut raw = &raw[..];
    let mut steps = Vec::new();
    let mut plain = Vec::new();
    for content in wanted {
        let Some(source) = usize::try_from(varint::take(&mut raw)?).ok()?.checked_sub(1) else {
            plain.push(*content);
            continue;
        };
        let prefix = *installed.get(source)?;
        if prefix.size > MAX_PATCHED_FILE_BYTES || content.size > MAX_PATCHED_FILE_BYTES {
            return None;
        }
        steps.push(Step {
            prefix: Some(prefix),
            contents: vec![*content],
            len: 0,
        });
    }
    let mut plain = &plain[..];
    for _ in 0..varint::take(&mut raw)? {
        let count = usize::try_from(varint::take(&mut raw)?).ok().filter(|n| *n > 0)?;
        let (group, rest) = plain.split_at_checked(count)?;
        plain = rest;
        steps.push(Step {
            prefix: None,
            contents: group.to_vec(),
            len: 0,
        });
    }
    for step in &mut steps {
        step.len = usize::try_from(varint::take(&mut raw)?).ok()?;
    }
    (raw.is_empty() && plain.is_empty()).then_some(steps)
}
