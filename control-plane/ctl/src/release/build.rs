//! `release build`

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use cap_std::{ambient_authority, fs::Dir};
use clap::Args;
use plugmend_shared::{
    bundle::{
        blocks::{self, WrittenBlocks},
        codec,
        manifest::Manifest,
        pack::{self, WrittenPack},
        path::RelPath,
        tree::Tree,
    },
    ids::{Digest, Product},
    tuf::{
        TargetFile, Targets,
        hash::Hashes,
        product::{self, ManifestCustom},
    },
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Place,
    deltas::{self, MadeDelta},
    descriptor::{self, Descriptor},
    workspace::Workspace,
};
use crate::output::{self, Format, Lines, Output};

/// Arguments of `release build`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The folder with the plugin's files, as they are to be installed.
    folder: PathBuf,
    /// What the release is and needs; `plugmend-release.toml` in the folder unless given.
    #[arg(long, short)]
    descriptor: Option<PathBuf>,
    /// The version, instead of the descriptor's.
    #[arg(long)]
    version: Option<semver::Version>,
    /// From how many releases before it deltas are made.
    #[arg(long, default_value_t = 3)]
    deltas: usize,
    /// Go without the blocks that make updates small for hosts which no delta was made for; they take about as much
    /// room as the pack.
    #[arg(long)]
    no_blocks: bool,
}

/// A release that was built.
#[derive(Debug)]
pub struct Built {
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest's canonical bytes.
    pub bytes: Vec<u8>,
    /// `manifest.json.zst`.
    pub compressed: Vec<u8>,
    /// What the pack came to.
    pub pack: WrittenPack,
    /// The pack's digest.
    pub pack_digest: Digest,
}

/// Blocks that were written, and their digest.
type Blocks = (WrittenBlocks, Digest);

/// Builds a release and stages its signing.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<Output> {
    let workspace = Workspace::open(&arguments.place.workspace)?;
    let descriptor = arguments
        .descriptor
        .clone()
        .unwrap_or_else(|| arguments.folder.join(descriptor::FILE));
    let descriptor = Descriptor::read(&descriptor)?;
    let product = workspace.product(Some(&descriptor.product))?;
    let (manifest, mut tree) = manifest_of(&arguments.folder, descriptor, arguments.version.clone())?;
    let version = manifest.version.clone();
    let current = workspace
        .current::<Targets>(product.as_str())?
        .context("the product has no metadata")?;
    if let Some(known) = product::release(&product, &version, &current.signed)? {
        let published = workspace.published::<Targets>(product.as_str())?;
        let published = published
            .map(|d| product::release(&product, &version, &d.signed))
            .transpose()?;
        ensure!(
            published.flatten().is_none() || known.digest == manifest.digest()?,
            "version {version} is published with other content; a version is never reused: raise it"
        );
    }

    let pack_path = workspace.target(&product::pack_path(&product, &version));
    let dir = pack_path.parent().context("a target has a folder")?;
    fs::create_dir_all(dir).with_context(|| format!("can not create {}", dir.display()))?;
    let built = build(manifest, &mut tree, &pack_path, format)?;
    fs::write(
        workspace.target(&product::manifest_path(&product, &version)),
        &built.compressed,
    )?;
    let blocks_path = workspace.target(&product::blocks_path(&product, &version));
    let cut = (!arguments.no_blocks).then(|| blocks(&built.manifest, &mut tree, &blocks_path, format));
    let cut = cut.transpose()?;
    let made = deltas::make(
        &workspace,
        &current.signed,
        &built,
        &pack_path,
        arguments.deltas,
        format,
    )?;
    stage(&workspace, &product, &built, cut, &made)?;
    Ok(report(&product, &built, cut, &made, &tree.left_out))
}

/// Reads a folder and makes its manifest.
pub fn manifest_of(
    folder: &Path,
    descriptor: Descriptor,
    version: Option<semver::Version>,
) -> anyhow::Result<(Manifest, Tree)> {
    let root = Dir::open_ambient_dir(folder, ambient_authority())
        .with_context(|| format!("can not open the folder {}", folder.display()))?;
    let tree = Tree::read(root, &descriptor.preserved())?;
    let mut files = tree.files.clone();
    files.retain(|f| f.path.as_str() != descriptor::FILE);
    ensure!(!files.is_empty(), "{} has no files", folder.display());
    let manifest = descriptor.manifest(version, files)?;
    // What could not be read back must not be signed.
    Manifest::parse(&manifest.to_bytes()?).context("the release would be refused by every agent")?;
    Ok((manifest, tree))
}

/// Compresses the manifest and writes the pack.
pub fn build(manifest: Manifest, tree: &mut Tree, pack_path: &Path, format: Format) -> anyhow::Result<Built> {
    let bar = output::progress("packing", raw_bytes(&manifest), format);
    let (pack, pack_digest) = written(pack_path, |out| {
        Ok(pack::write(&manifest, tree, out, codec::LEVEL, &mut |n| {
            bar.set_position(n);
        })?)
    })?;
    bar.finish_and_clear();
    Ok(Built {
        compressed: manifest.to_compressed()?,
        bytes: manifest.to_bytes()?,
        manifest,
        pack,
        pack_digest,
    })
}

/// Writes the blocks.
pub fn blocks(manifest: &Manifest, tree: &mut Tree, path: &Path, format: Format) -> anyhow::Result<Blocks> {
    let bar = output::progress("cutting", raw_bytes(manifest), format);
    let cut = written(path, |out| {
        Ok(blocks::write(manifest, tree, out, &mut |n| bar.set_position(n))?)
    });
    bar.finish_and_clear();
    cut
}

fn raw_bytes(manifest: &Manifest) -> u64 {
    manifest.contents().iter().map(|c| c.size).sum()
}

/// Writes a file beside its place, to the disk, and then into its place; gives its digest as well.
fn written<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Digest)> {
    let at = || format!("can not write {}", path.display());
    let fresh = path.with_extension("new");
    let mut out = Hashing {
        out: std::io::BufWriter::new(fs::File::create(&fresh).with_context(at)?),
        hash: Sha256::new(),
    };
    let what = write(&mut out)?;
    let file = out.out.into_inner().map_err(std::io::IntoInnerError::into_error);
    file.with_context(at)?.sync_all().with_context(at)?;
    fs::rename(&fresh, path).with_context(at)?;
    Ok((what, Digest(out.hash.finalize().into())))
}

struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: std::io::Write> std::io::Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn stage(
    workspace: &Workspace,
    product: &Product,
    built: &Built,
    cut: Option<Blocks>,
    made: &[MadeDelta],
) -> anyhow::Result<()> {
    let version = &built.manifest.version;
    let mut manifest = TargetFile::of(&built.compressed);
    let custom = ManifestCustom {
        release_digest: Digest::of(&built.bytes),
        size: built.bytes.len() as u64,
        revoked: None,
    };
    manifest.custom = Some(custom.to_value()?);
    let pack = TargetFile::new(built.pack.len, Hashes::from(built.pack_digest));
    workspace.stage::<Targets>(product.as_str(), |targets| {
        let folder = format!("{product}/{version}/");
        targets.targets.retain(|path, _| !path.starts_with(&folder));
        targets
            .targets
            .insert(product::manifest_path(product, version), manifest);
        targets.targets.insert(product::pack_path(product, version), pack);
        if let Some((blocks, digest)) = cut {
            let file = TargetFile::new(blocks.len, Hashes::from(digest));
            targets.targets.insert(product::blocks_path(product, version), file);
        }
        for delta in made {
            targets
                .targets
                .insert(product::delta_path(product, version, &delta.from), delta.file.clone());
        }
        Ok(())
    })?;
    Ok(())
}

fn report(product: &Product, built: &Built, cut: Option<Blocks>, made: &[MadeDelta], left_out: &[RelPath]) -> Output {
    let version = &built.manifest.version;
    let digest = Digest::of(&built.bytes);
    let mut words = Lines::default();
    words.add(format_args!(
        "{product} {version} is built and staged\n  digest    {digest}\n  files     {} ({})\n  manifest  {}\n  \
         pack      {} in {} frames",
        built.manifest.files.len(),
        output::bytes(built.manifest.total_bytes()),
        output::bytes(built.compressed.len() as u64),
        output::bytes(built.pack.len),
        built.pack.frames,
    ));
    if let Some((blocks, _)) = cut {
        words.add(format_args!("  blocks    {}", output::bytes(blocks.len)));
    }
    for delta in made {
        words.add(format_args!(
            "  delta     {} from {}",
            output::bytes(delta.file.length),
            delta.version
        ));
    }
    for path in left_out {
        words.add(format_args!("  left out  {path} (the plugin's own data)"));
    }
    words.add("next: each holder of a release key runs 'plugmend release sign'");
    let data = json!({
        "product": product, "version": version, "digest": digest, "files": built.manifest.files.len(),
        "bytes": built.manifest.total_bytes(), "manifest_bytes": built.compressed.len(),
        "pack_bytes": built.pack.len, "frames": built.pack.frames, "left_out": left_out,
        "blocks_bytes": cut.map(|(blocks, _)| blocks.len),
        "deltas": made.iter().map(|d| json!({"from": d.version, "bytes": d.file.length})).collect::<Vec<_>>(),
    });
    Output::new(words, data)
}
