//! `release size`: what an update costs in bytes, measured by really doing it in memory.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    bundle::{
        blocks::{self, Gathering, Lacking},
        contents::{Content, MemorySink},
        delta::Delta,
        pack::{self, PackIndex, PackReader, Unpacker},
    },
    ids::{Digest, Product},
    tuf::{Targets, product},
};
use serde_json::json;

use super::{
    Place, build,
    deltas::{self, StoredRelease},
    descriptor::Descriptor,
    workspace::Workspace,
};
use crate::output::{Format, Output, bytes, table};

/// Arguments of `release size`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The product, when versions are given; the only one unless given.
    #[arg(long)]
    product: Option<Product>,
    /// A folder with the old files, or a version of the workspace.
    from: String,
    /// A folder with the new files, or a version of the workspace.
    to: String,
}

/// Measures.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<Output> {
    let (from, to) = (
        open(arguments, &arguments.from, "0.0.1", format)?,
        open(arguments, &arguments.to, "0.0.2", format)?,
    );
    let delta = deltas::between((&from.manifest, &from.pack), (&to.manifest, &to.pack))?;
    let delta = delta
        .map(|bytes| apply(&from, &to, &bytes).map(|()| bytes.len() as u64))
        .transpose()?;
    let full = to.compressed + to.pack.len() as u64;
    let without = without(&from, &to)?;

    let mut rows = vec![
        row("full", full, "manifest and whole pack".to_owned()),
        row("no delta", without.bytes(), without.words()),
    ];
    if let Some(n) = delta {
        rows.push(row("delta", n, "manifest and contents in one file".to_owned()));
    }
    let words = format!(
        "{} files, {}\n{}",
        to.manifest.files.len(),
        bytes(to.manifest.total_bytes()),
        table(&["WAY", "SIZE", "BYTES", "OF"], rows)
    );
    let data = json!({
        "files": to.manifest.files.len(), "bytes": to.manifest.total_bytes(), "full_bytes": full,
        "without_bytes": without.bytes(), "manifest_bytes": without.manifest, "blocks_bytes": without.blocks,
        "index_bytes": without.index, "range_bytes": without.frames, "requests": without.requests,
        "compressed_manifest_bytes": to.compressed, "delta_bytes": delta,
    });
    Ok(Output::new(words, data))
}

fn row(way: &str, n: u64, of: String) -> Vec<String> {
    vec![way.to_owned(), bytes(n), n.to_string(), of]
}

fn open(arguments: &Arguments, what: &str, version: &str, format: Format) -> anyhow::Result<StoredRelease> {
    if Path::new(what).is_dir() {
        return from_folder(&PathBuf::from(what), version, format);
    }
    let workspace = Workspace::open(&arguments.place.workspace)
        .with_context(|| format!("'{what}' is not a folder, and versions need a workspace"))?;
    let product = workspace.product(arguments.product.as_ref())?;
    let version = what
        .parse()
        .with_context(|| format!("'{what}' is neither a folder nor a version"))?;
    let targets = workspace
        .current::<Targets>(product.as_str())?
        .context("the product has no metadata")?;
    let release = product::release(&product, &version, &targets.signed)?;
    StoredRelease::open(
        &workspace,
        &product,
        &release.with_context(|| format!("there is no release {version}"))?,
    )
}

fn from_folder(folder: &Path, version: &str, format: Format) -> anyhow::Result<StoredRelease> {
    let descriptor: Descriptor = toml::from_str(&format!("product = \"measured\"\nversion = \"{version}\""))?;
    let (manifest, mut tree) = build::manifest_of(folder, descriptor, None)?;
    let scratch = std::env::temp_dir().join(format!("plugmend-size-{}-{version}", std::process::id()));
    let built = build::build(manifest, &mut tree, &scratch, format);
    let pack = std::fs::read(&scratch);
    // Left behind only when nothing was written.
    let _ = std::fs::remove_file(&scratch);
    let built = built?;
    let mut cut = Vec::new();
    blocks::write(&built.manifest, &mut tree, &mut cut, &mut |_| {})?;
    Ok(StoredRelease {
        manifest: built.manifest,
        bytes: built.bytes,
        compressed: built.compressed.len() as u64,
        pack: pack?,
        blocks: Some(cut),
    })
}

fn apply(from: &StoredRelease, to: &StoredRelease, delta: &[u8]) -> anyhow::Result<()> {
    let opened = Delta::open(delta, (&from.manifest, &from.bytes), &Digest::of(&to.bytes))?;
    let index = PackIndex::parse(&from.pack, from.pack.len() as u64, &from.manifest)?;
    let mut installed = PackReader::new(&from.pack, index);
    let mut read = |content: &Content| {
        let found = installed.read(&content.digest).map_err(std::io::Error::other)?;
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    opened.unpack(&mut read, &mut MemorySink::default())?;
    Ok(())
}

/// What an agent fetches that no delta was made for.
#[derive(Default)]
struct Fetched {
    requests: usize,
    /// Of the manifest: by blocks, else whole.
    manifest: u64,
    /// Of contents, by blocks.
    blocks: u64,
    index: u64,
    frames: u64,
}

impl Fetched {
    fn bytes(&self) -> u64 {
        self.manifest + self.blocks + self.index + self.frames
    }

    fn words(&self) -> String {
        format!(
            "manifest {}, blocks {}, index {}, frames {}, in {} requests",
            self.manifest, self.blocks, self.index, self.frames, self.requests
        )
    }

    /// Runs a gathering against the blocks; gives what came together, and how many bytes it took.
    fn gather(&mut self, mut gathering: Gathering, file: &[u8]) -> anyhow::Result<(HashSet<Digest>, u64)> {
        let (mut came, mut fetched) = (Vec::new(), 0);
        loop {
            let ranges = gathering.step(&came);
            if ranges.is_empty() {
                let done = gathering.finish();
                return Ok((done.into_iter().map(|(digest, _)| digest).collect(), fetched));
            }
            came.clear();
            self.requests += ranges.len();
            for range in ranges {
                let span = usize::try_from(range.start)?..usize::try_from(range.end)?;
                came.push(file.get(span).context("what is asked for stays within the blocks")?);
                fetched += range.end - range.start;
            }
        }
    }
}

fn without(from: &StoredRelease, to: &StoredRelease) -> anyhow::Result<Fetched> {
    let mut out = Fetched::default();
    let mut have: HashSet<Digest> = from.manifest.contents().iter().map(|c| c.digest).collect();
    let (file, name) = (
        to.blocks.as_deref().unwrap_or_default(),
        (Digest::of(&to.bytes), to.bytes.len() as u64),
    );
    let gathering = Gathering::manifest(file.len() as u64, name, from.bytes.clone(), to.compressed);
    let (came, fetched) = out.gather(gathering, file)?;
    out.manifest = fetched;
    if came.is_empty() {
        out.manifest += to.compressed;
        out.requests += 1;
    }
    let index = PackIndex::parse(&from.pack, from.pack.len() as u64, &from.manifest)?;
    let mut installed = PackReader::new(&from.pack, index);
    let mut read = |content: &Content| {
        let found = installed.read(&content.digest).map_err(std::io::Error::other)?;
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    let lacking = Lacking {
        to: &to.manifest,
        manifest_size: name.1,
        from: &from.manifest,
    };
    let gathering = Gathering::contents(file.len() as u64, lacking, &|digest| have.contains(digest), &mut read);
    let (came, fetched) = out.gather(gathering, file)?;
    out.blocks = fetched;
    have.extend(came);
    if !to.manifest.contents().iter().all(|c| have.contains(&c.digest)) {
        out.index = PackIndex::tail_hint(&to.manifest).min(to.pack.len() as u64);
        out.requests += 1;
        out.frames(to, &have)?;
    }
    Ok(out)
}

impl Fetched {
    /// The frames with what is still missing.
    fn frames(&mut self, to: &StoredRelease, have: &HashSet<Digest>) -> anyhow::Result<()> {
        let index = PackIndex::parse(&to.pack, to.pack.len() as u64, &to.manifest)?;
        for range in &pack::plan(&index, &|digest| have.contains(digest)) {
            let span = usize::try_from(range.bytes.start)?..usize::try_from(range.bytes.end)?;
            let part = to.pack.get(span).context("the plan stays within the pack")?;
            let mut unpacker = Unpacker::new(&index, range)?;
            unpacker.push(part, &mut MemorySink::default())?;
            unpacker.finish()?;
            self.requests += 1;
            self.frames += part.len() as u64;
        }
        ensure!(self.frames <= to.pack.len() as u64, "no more than the pack is fetched");
        Ok(())
    }
}
