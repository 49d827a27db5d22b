//! `release size`: what an update costs in bytes, measured by really doing it in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use plugmend_shared::{
    bundle::{
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
    let frames = fetch(&from, &to)?;
    let index = PackIndex::tail_hint(&to.manifest).min(to.pack.len() as u64);
    let full = to.compressed + to.pack.len() as u64;
    let without = to.compressed + index + frames.bytes;

    let mut rows = vec![
        vec![
            "full".to_owned(),
            bytes(full),
            full.to_string(),
            "manifest and whole pack".to_owned(),
        ],
        vec![
            "frames".to_owned(),
            bytes(without),
            without.to_string(),
            format!(
                "manifest {}, index {index}, {} ranges {}",
                to.compressed, frames.ranges, frames.bytes
            ),
        ],
    ];
    if let Some(n) = delta {
        rows.push(vec![
            "delta".to_owned(),
            bytes(n),
            n.to_string(),
            "manifest and contents in one file".to_owned(),
        ]);
    }
    let words = format!(
        "{} files, {}\n{}",
        to.manifest.files.len(),
        bytes(to.manifest.total_bytes()),
        table(&["WAY", "SIZE", "BYTES", "OF"], rows)
    );
    let data = json!({
        "files": to.manifest.files.len(), "bytes": to.manifest.total_bytes(), "full_bytes": full,
        "frames_bytes": without, "manifest_bytes": to.compressed, "index_bytes": index,
        "range_bytes": frames.bytes, "ranges": frames.ranges, "delta_bytes": delta,
    });
    Ok(Output::new(words, data))
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
    Ok(StoredRelease {
        manifest: built.manifest,
        bytes: built.bytes,
        compressed: built.compressed.len() as u64,
        pack: pack?,
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

struct Fetched {
    ranges: usize,
    bytes: u64,
}

fn fetch(from: &StoredRelease, to: &StoredRelease) -> anyhow::Result<Fetched> {
    let index = PackIndex::parse(&to.pack, to.pack.len() as u64, &to.manifest)?;
    let have: std::collections::HashSet<Digest> = from.manifest.contents().iter().map(|c| c.digest).collect();
    let plan = pack::plan(&index, &|digest| have.contains(digest));
    let mut fetched = 0;
    for range in &plan {
        let span = usize::try_from(range.bytes.start)?..usize::try_from(range.bytes.end)?;
        let part = to.pack.get(span).context("the plan stays within the pack")?;
        let mut unpacker = Unpacker::new(&index, range)?;
        unpacker.push(part, &mut MemorySink::default())?;
        unpacker.finish()?;
        fetched += part.len() as u64;
    }
    ensure!(fetched <= to.pack.len() as u64, "no more than the pack is fetched");
    Ok(Fetched {
        ranges: plan.len(),
        bytes: fetched,
    })
}
