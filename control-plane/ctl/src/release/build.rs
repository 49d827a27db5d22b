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
    let made = deltas::make(
        &workspace,
        &current.signed,
        &built,
        &pack_path,
        arguments.deltas,
        format,
    )?;
    stage(&workspace, &product, &built, &made)?;
    Ok(report(&product, &built, &made, &tree.left_out))
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
    let bytes = manifest.to_bytes()?;
    let at = || format!("can not write {}", pack_path.display());
    let fresh = pack_path.with_extension("new");
    let file = fs::File::create(&fresh).with_context(at)?;
    let mut out = Hashing {
        out: std::io::BufWriter::new(file),
        hash: Sha256::new(),
    };
    let total = manifest.contents().iter().map(|c| c.size).sum();
    let bar = output::progress("packing", total, format);
    let pack = pack::write(&manifest, tree, &mut out, codec::LEVEL, &mut |n| bar.set_position(n))?;
    bar.finish_and_clear();
    let file = out
        .out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .with_context(at)?;
    file.sync_all().with_context(at)?;
    fs::rename(&fresh, pack_path).with_context(at)?;
    Ok(Built {
        compressed: manifest.to_compressed()?,
        manifest,
        bytes,
        pack,
        pack_digest: Digest(out.hash.finalize().into()),
    })
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

fn stage(workspace: &Workspace, product: &Product, built: &Built, made: &[MadeDelta]) -> anyhow::Result<()> {
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
        for delta in made {
            targets
                .targets
                .insert(product::delta_path(product, version, &delta.from), delta.file.clone());
        }
        Ok(())
    })?;
    Ok(())
}

fn report(product: &Product, built: &Built, made: &[MadeDelta], left_out: &[RelPath]) -> Output {
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
        "deltas": made.iter().map(|d| json!({"from": d.version, "bytes": d.file.length})).collect::<Vec<_>>(),
    });
    Output::new(words, data)
}
