//! Deltas from the last few releases to a new one.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use plugmend_shared::{
    bundle::{
        codec,
        contents::Content,
        delta::{self, DeltaError},
        manifest::Manifest,
        pack::{PackIndex, PackReader},
        release,
    },
    ids::{Digest, Product},
    tuf::{
        TargetFile, Targets,
        product::{self, SignedRelease},
    },
};

use super::{build::Built, workspace::Workspace};
use crate::output::{self, Format};

/// A delta that was written.
#[derive(Debug)]
pub struct MadeDelta {
    /// The release it starts from.
    pub from: Digest,
    /// That release's version.
    pub version: semver::Version,
    /// Length and hash.
    pub file: TargetFile,
}

/// Writes deltas to the new release from as many releases below it as were asked for.
pub fn make(
    workspace: &Workspace,
    targets: &Targets,
    built: &Built,
    pack_path: &Path,
    how_many: usize,
    format: Format,
) -> anyhow::Result<Vec<MadeDelta>> {
    let product = &built.manifest.product;
    let mut olds = product::releases(product, targets)?;
    olds.retain(|r| r.version < built.manifest.version && r.revoked.is_none());
    let new_pack = fs::read(pack_path).with_context(|| format!("can not read {}", pack_path.display()))?;
    let olds: Vec<_> = olds.into_iter().rev().take(how_many).collect();
    let bar = output::progress("making deltas", olds.len() as u64, format);
    let mut made = Vec::new();
    for old in olds {
        let from = StoredRelease::open(workspace, product, &old).with_context(|| {
            format!(
                "no delta can be made from {}; give --deltas 0 to go without",
                old.version
            )
        })?;
        let path = product::delta_path(product, &built.manifest.version, &old.digest);
        if let Some(bytes) = between((&from.manifest, &from.pack), (&built.manifest, &new_pack))? {
            fs::write(workspace.target(&path), &bytes).with_context(|| format!("can not write {path}"))?;
            made.push(MadeDelta {
                from: old.digest,
                version: old.version,
                file: TargetFile::of(&bytes),
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(made)
}

/// The delta between two releases; `None` when it would be too large to be of use.
pub fn between(from: (&Manifest, &[u8]), to: (&Manifest, &[u8])) -> anyhow::Result<Option<Vec<u8>>> {
    let mut old = reader(from)?;
    let mut new = reader(to)?;
    let read = |reader: &mut PackReader<'_>, content: &Content| -> io::Result<Vec<u8>> {
        let found = reader.read(&content.digest).map_err(io::Error::other)?;
        found.ok_or_else(|| io::Error::other(format!("the pack has no content {}", content.digest)))
    };
    let written = delta::write(
        (from.0, &mut |c: &Content| read(&mut old, c)),
        (to.0, &mut |c: &Content| read(&mut new, c)),
        codec::LEVEL,
    );
    match written {
        Ok(delta) => Ok(Some(delta.bytes)),
        Err(DeltaError::TooLarge) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn reader<'a>((manifest, pack): (&Manifest, &'a [u8])) -> anyhow::Result<PackReader<'a>> {
    let index = PackIndex::parse(pack, pack.len() as u64, manifest)?;
    Ok(PackReader::new(pack, index))
}

/// A release whose files lie in the workspace.
#[derive(Debug)]
pub struct StoredRelease {
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest's canonical bytes.
    pub bytes: Vec<u8>,
    /// The compressed manifest's length.
    pub compressed: u64,
    /// Its pack.
    pub pack: Vec<u8>,
    /// Its blocks; none when it was built without.
    pub blocks: Option<Vec<u8>>,
}

impl StoredRelease {
    /// Reads a release's files and checks them against what is signed, or staged to be.
    pub fn open(workspace: &Workspace, product: &Product, signed: &SignedRelease) -> anyhow::Result<Self> {
        let read = |path: &str| {
            let file = workspace.target(path);
            fs::read(&file).with_context(|| format!("can not read {}", file.display()))
        };
        let compressed = read(&signed.manifest.path)?;
        let (manifest, bytes) = release::open_manifest(product, signed, &compressed)?;
        let pack = read(&signed.pack.path)?;
        signed
            .pack
            .file
            .check(&pack)
            .context("the pack is not the signed one")?;
        let blocks = signed.blocks.as_ref().map(|target| {
            let blocks = read(&target.path)?;
            target
                .file
                .check(&blocks)
                .context("the blocks are not the signed ones")?;
            anyhow::Ok(blocks)
        });
        Ok(Self {
            manifest,
            bytes,
            compressed: compressed.len() as u64,
            pack,
            blocks: blocks.transpose()?,
        })
    }
}
