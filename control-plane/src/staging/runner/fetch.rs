//! A release's files: the manifest, then every content from the pack, each checked by hash before it counts.

use std::{collections::HashSet, io, ops::Range, path::Path};

use bytes::Bytes;
use cap_std::{ambient_authority, fs::Dir};
use plugmend_shared::{
    bundle::{
        contents::{Content, ContentSink},
        limits::MAX_RELEASE_BYTES,
        manifest::Manifest,
        pack::{PackError, PackIndex, Unpacker, plan},
        release,
    },
    ids::{Digest, Product},
    tuf::product::{SignedRelease, SignedTarget},
};

use super::{Place, RunError, Source, layout};

/// How much is asked for at once.
const PIECE: u64 = 4 * 1024 * 1024;

/// Fetches a release and lays it out in `place`. Gives its manifest and how many bytes came.
pub(super) async fn release(
    source: &Source,
    product: &Product,
    release: &SignedRelease,
    place: &Place,
) -> Result<(Manifest, u64), RunError> {
    let length = release.manifest.file.length;
    let path = path_of(&release.manifest)?;
    let compressed = source.fetch(&path, None, length).await?;
    let compressed = compressed.ok_or(RunError::Missing(path))?;
    let (manifest, _) = release::open_manifest(product, release, &compressed).map_err(|e| damaged(&e))?;
    if manifest.files.iter().map(|file| file.size).sum::<u64>() > MAX_RELEASE_BYTES {
        return Err(RunError::Damaged("it is larger than any release may be".to_owned()));
    }
    let mut fetched = compressed.len() as u64;
    let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).map_err(RunError::Disk);
    let mut incoming = Incoming::new(open(&place.incoming())?);
    if !manifest.contents().is_empty() {
        fetched += contents(source, release, &manifest, &mut incoming).await?;
    }
    let tree = open(&place.tree())?;
    layout::lay_out(&manifest, &incoming.dir, &tree).map_err(RunError::Disk)?;
    Ok((manifest, fetched))
}

async fn contents(
    source: &Source,
    release: &SignedRelease,
    manifest: &Manifest,
    incoming: &mut Incoming,
) -> Result<u64, RunError> {
    let pack = &release.pack;
    let index = index(source, pack, manifest).await?;
    let mut fetched = 0;
    for range in plan(&index, &|_| false) {
        let mut unpacker = Unpacker::new(&index, &range).map_err(|e| pack_error(&e))?;
        while unpacker.missing() > 0 {
            let from = range.bytes.end - unpacker.missing();
            let bytes = piece(source, pack, from..range.bytes.end.min(from + PIECE)).await?;
            fetched += bytes.len() as u64;
            unpacker.push(&bytes, incoming).map_err(|e| pack_error(&e))?;
        }
        unpacker.finish().map_err(|e| pack_error(&e))?;
    }
    match manifest
        .contents()
        .iter()
        .find(|content| !incoming.accepted.contains(&content.digest))
    {
        None => Ok(fetched),
        Some(missing) => Err(RunError::Damaged(format!(
            "content {} is not in the pack",
            missing.digest
        ))),
    }
}

async fn index(source: &Source, pack: &SignedTarget, manifest: &Manifest) -> Result<PackIndex, RunError> {
    let length = pack.file.length;
    let mut tail = PackIndex::tail_hint(manifest).min(length);
    for _ in 0..3 {
        let bytes = piece(source, pack, length - tail..length).await?;
        match PackIndex::parse(&bytes, length, manifest) {
            Ok(index) => return Ok(index),
            Err(PackError::TailTooShort { needed }) if needed <= length => tail = needed,
            Err(e) => return Err(pack_error(&e)),
        }
    }
    Err(RunError::Damaged(
        "the pack's index does not fit its own length".to_owned(),
    ))
}

async fn piece(source: &Source, target: &SignedTarget, range: Range<u64>) -> Result<Bytes, RunError> {
    let wanted = range.end - range.start;
    let path = path_of(target)?;
    let bytes = source.fetch(&path, Some(range), wanted).await?;
    let bytes = bytes.ok_or_else(|| RunError::Missing(path.clone()))?;
    if bytes.len() as u64 == wanted {
        return Ok(bytes);
    }
    Err(RunError::Damaged(format!("{path} is shorter than was signed")))
}

/// `targets/<folder>/<sha256>.<name>`: the consistent path (specification section 6.2).
fn path_of(target: &SignedTarget) -> Result<String, RunError> {
    let unsigned = || RunError::Damaged(format!("{} has no SHA-256", target.path));
    let sha256 = target.file.hashes.sha256().ok_or_else(unsigned)?;
    Ok(match target.path.rsplit_once('/') {
        Some((folder, name)) => format!("targets/{folder}/{sha256}.{name}"),
        None => format!("targets/{sha256}.{}", target.path),
    })
}

fn damaged(error: &dyn std::error::Error) -> RunError {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    RunError::Damaged(words)
}

fn pack_error(error: &PackError) -> RunError {
    match error {
        PackError::Io(e) => RunError::Disk(io::Error::new(e.kind(), e.to_string())),
        _ => damaged(error),
    }
}

const PART: &str = "part";

/// Contents that have come, each in a file named by its digest.
struct Incoming {
    dir: Dir,
    part: Option<(cap_std::fs::File, Digest)>,
    accepted: HashSet<Digest>,
}

impl Incoming {
    fn new(dir: Dir) -> Self {
        Self {
            dir,
            part: None,
            accepted: HashSet::new(),
        }
    }
}

impl ContentSink for Incoming {
    fn begin(&mut self, content: &Content) -> io::Result<()> {
        self.part = Some((self.dir.create(PART)?, content.digest));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.part {
            Some((file, _)) => io::Write::write_all(file, bytes),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let (_, digest) = self.part.take().ok_or(io::ErrorKind::InvalidInput)?;
        self.dir.rename(PART, &self.dir, digest.to_string())?;
        self.accepted.insert(digest);
        Ok(())
    }
}
