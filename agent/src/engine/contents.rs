//! Contents on this host: manifests that were kept, files that can be reused, contents that have come in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use plugmend_shared::{
    bundle::{
        contents::{Content, ContentSink},
        limits::MAX_MANIFEST_BYTES,
        manifest::Manifest,
        path::RelPath,
    },
    ids::Digest,
};
use rustix::fs::FileType;

use super::{chain, fs_failure, recover::manifest_path};
use crate::{
    domain::change::Failure,
    platform::{beneath::Dir, durable, error::FsError, tree},
};

/// A manifest kept in the agent's folder, with its canonical bytes.
pub(super) fn read_manifest(state: &Dir, digest: &Digest) -> Result<Option<(Manifest, Vec<u8>)>, Failure> {
    let path = manifest_path(digest);
    let bytes = durable::read_bounded(state, &path, MAX_MANIFEST_BYTES).map_err(|e| fs_failure(&e))?;
    // A damaged copy is as good as none: it is fetched again.
    let Some(bytes) = bytes.filter(|bytes| Digest::of(bytes) == *digest) else {
        return Ok(None);
    };
    match Manifest::parse(&bytes) {
        Ok(manifest) => Ok(Some((manifest, bytes))),
        Err(e) => Err(Failure::lasting("bad_manifest", chain(&e))),
    }
}

/// Keeps a manifest.
pub(super) fn write_manifest(state: &Dir, digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
    durable::write_atomic(state, &manifest_path(digest), bytes, 0o600).map_err(|e| fs_failure(&e))
}

/// A tree is read for its contents up to this many times their length,
const READ_TIMES: u64 = 4;
/// and this much more, in bytes.
const READ_AT_LEAST: u64 = 64 * 1024 * 1024;

/// Which contents a tree has, found by reading it: a file that somebody changed is not taken for what it was.
pub(super) struct Index {
    dir: Dir,
    places: HashMap<Digest, PathBuf>,
}

impl Index {
    /// Looks for the contents of these manifests in the tree in `dir`, but for the plugin's own data. What can not be
    /// read is not there; nor is what only comes after so many bytes of other files that they were made to be read.
    pub(super) fn read(dir: Dir, preserved: &[RelPath], manifests: &[&Manifest]) -> Result<Self, FsError> {
        let skip: BTreeSet<&str> = preserved.iter().map(RelPath::as_str).collect();
        let mut wanted: HashMap<u64, HashSet<Digest>> = HashMap::new();
        let mut left = READ_AT_LEAST;
        for content in manifests.iter().flat_map(|manifest| manifest.contents()) {
            wanted.entry(content.size).or_default().insert(content.digest);
            left = left.saturating_add(content.size.saturating_mul(READ_TIMES));
        }
        let mut places = HashMap::new();
        for (path, kind) in tree::list(&dir, &skip)?.entries {
            let Ok(Some(stat)) = dir.stat(&path) else { continue };
            let size = stat.st_size.unsigned_abs();
            let Some(digests) = wanted.get_mut(&size).filter(|digests| !digests.is_empty()) else {
                continue;
            };
            if kind != FileType::RegularFile || size > left {
                continue;
            }
            left -= size;
            let hashed = dir.open_file(&path);
            if let Ok((digest, _)) = hashed.and_then(|file| tree::hash(file.take(size.saturating_add(1)), &path))
                && digests.remove(&digest)
            {
                places.insert(digest, path);
            }
        }
        Ok(Self { dir, places })
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.places.contains_key(digest)
    }

    /// The file with this content.
    pub(super) fn open(&self, digest: &Digest) -> Result<Option<File>, FsError> {
        self.places.get(digest).map(|path| self.dir.open_file(path)).transpose()
    }

    /// The content itself, for use as a dictionary.
    pub(super) fn content(&self, content: &Content) -> io::Result<Vec<u8>> {
        let file = self
            .open(&content.digest)
            .map_err(io_error)?
            .ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        file.take(content.size.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Contents that have come in for one release, each in a file named by its digest: what is there after a restart is
/// not fetched again.
pub(super) struct Incoming {
    pub(super) dir: Dir,
    part: Option<(File, Digest)>,
}

const PART: &str = "part";

/// The folder of a release's contents, in the working folder.
pub(super) fn incoming_name(digest: &Digest) -> String {
    format!("incoming-{}", digest.short())
}

impl Incoming {
    /// Opens the folder for a release, or makes it.
    pub(super) fn open(work: &Dir, digest: &Digest) -> Result<Self, FsError> {
        Ok(Self {
            dir: work.create_dirs(Path::new(&incoming_name(digest)), 0o700)?,
            part: None,
        })
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        matches!(self.dir.kind(&name_of(digest)), Ok(Some(FileType::RegularFile)))
    }

    /// Reads everything again and throws away what a crash left torn. How many bytes are good.
    pub(super) fn recheck(&self) -> Result<u64, FsError> {
        let mut good = 0;
        for (name, _) in self.dir.entries()? {
            let path = Path::new(&name);
            let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else {
                continue;
            };
            let (found, size) = tree::hash(self.dir.open_file(path)?, path)?;
            if found == digest {
                good += size;
            } else {
                self.dir.remove_file(path)?;
            }
        }
        Ok(good)
    }
}

/// The name of a content's file.
pub(super) fn name_of(digest: &Digest) -> PathBuf {
    PathBuf::from(digest.to_string())
}

impl ContentSink for Incoming {
    fn wants(&mut self, content: &Content) -> bool {
        !self.has(&content.digest)
    }

    fn begin(&mut self, content: &Content) -> io::Result<()> {
        let part = Path::new(PART);
        self.dir.remove_file(part).map_err(io_error)?;
        let file = self.dir.create_file(part, 0o600).map_err(io_error)?;
        self.part = Some((file, content.digest));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        fault_point!("engine.fetch.write")?;
        match &mut self.part {
            Some((file, _)) => file.write_all(bytes),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let Some((_, digest)) = self.part.take() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        crash_point!("engine.fetch.accept");
        let renamed = self.dir.rename(Path::new(PART), &self.dir, &name_of(&digest));
        renamed.map_err(io_error)
    }
}

/// Keeps the kind, so that a full disk is still told from other faults.
pub(super) fn io_error(error: FsError) -> io::Error {
    io::Error::new(error.source.kind(), error)
}

/// A failure of reading or writing contents.
/// Whether there was no room: a full disk or a quota.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn io_failure(error: &io::Error) -> Failure {
    if is_no_space(error) {
        return super::no_space(&chain(error));
    }
    Failure::passing("filesystem", chain(error))
}
