//! Trees of files: copied beside, compared with a manifest, deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use plugmend_shared::{
    bundle::{limits::MAX_DEPTH, manifest::FileEntry, path::RelPath},
    ids::Digest,
    protocol::heartbeat::{FoundCounts, FoundKind},
};
use rustix::fs::{FileType, Timespec, Timestamps};
use sha2::{Digest as _, Sha256};

use super::{
    beneath::Dir,
    error::{Context as _, FsError},
    layout::{Site, TRASH},
};

const BUFFER: usize = 64 * 1024;

/// How a tree differs from what it should be; at most 100 paths are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Paths that are missing, changed or too many.
    pub paths: Vec<String>,
    /// What is wrong with each of these.
    pub kinds: Vec<FoundKind>,
    /// How many there are in all.
    pub count: usize,
    /// How many of each kind.
    pub counts: FoundCounts,
}

impl Differences {
    fn add(&mut self, path: &str, kind: FoundKind) {
        self.count += 1;
        match kind {
            FoundKind::Changed => self.counts.changed += 1,
            FoundKind::Missing => self.counts.missing += 1,
            FoundKind::Extra => self.counts.extra += 1,
        }
        if self.paths.len() < 100 {
            self.paths.push(path.to_owned());
            self.kinds.push(kind);
        }
    }

    /// Whether the tree is as it should be.
    pub fn none(&self) -> bool {
        self.count == 0
    }
}

/// Digest and length of a file's content.
///
/// # Errors
/// It can not be read.
pub fn hash(mut file: File, path: &Path) -> Result<(Digest, u64), FsError> {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer).at("read", path)?;
        if n == 0 {
            return Ok((Digest(sum.finalize().into()), size));
        }
        sum.update(buffer.get(..n).unwrap_or_default());
        size += n as u64;
    }
}

/// Copies `file` to the new file `to` and gives the digest and length of what was written. Shares blocks where the
/// filesystem can; never a hard link, which would carry a later edit into every release.
///
/// # Errors
/// No room, or a file can not be read or written.
pub fn copy_hashed(mut file: File, to: &Dir, rel: &Path, mode: u32) -> Result<(Digest, u64), FsError> {
    let path = to.path().join(rel);
    let mut new = to.create_file(rel, mode)?;
    if rustix::fs::ioctl_ficlone(&new, &file).is_ok() {
        return hash(to.open_file(rel)?, &path);
    }
    let mut sum = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer).at("read", &path)?;
        if n == 0 {
            return Ok((Digest(sum.finalize().into()), size));
        }
        let part = buffer.get(..n).unwrap_or_default();
        sum.update(part);
        size += n as u64;
        fault_point!("tree.copy.write").at("write", &path)?;
        new.write_all(part).at("write", &path)?;
    }
}

/// [`copy_hashed`], and the copy is on the disk before anything can refer to it: filesystems write names before contents.
///
/// # Errors
/// As [`copy_hashed`], or the disk failed.
pub fn copy_synced(file: File, to: &Dir, rel: &Path, mode: u32) -> Result<(), FsError> {
    copy_hashed(file, to, rel, mode)?;
    let path = to.path().join(rel);
    fault_point!("tree.copy.sync").at("sync", &path)?;
    to.open_file(rel)?.sync_all().at("sync", &path)
}

/// Gives every file of a tree the modification time `seconds` (since the epoch). Caches of compiled code compare it:
/// two releases that share it would be one to them.
///
/// # Errors
/// The filesystem refused.
pub fn stamp(tree: &Dir, files: &[FileEntry], seconds: i64) -> Result<(), FsError> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    for entry in files {
        let rel = Path::new(entry.path.as_str());
        if tree.kind(rel)? == Some(FileType::RegularFile) {
            rustix::fs::futimens(tree.open_file(rel)?, &times).at("set the time of", &tree.path().join(rel))?;
        }
    }
    Ok(())
}

/// Compares a tree with a manifest's files, content and all. `preserved` paths are the plugin's own and not looked at.
///
/// # Errors
/// The tree can not be read.
pub fn compare(tree: &Dir, files: &[FileEntry], preserved: &[RelPath]) -> Result<Differences, FsError> {
    let mut found = Differences::default();
    let skip: BTreeSet<&str> = preserved.iter().map(RelPath::as_str).collect();
    let wanted: BTreeMap<&str, &FileEntry> = files
        .iter()
        .filter(|entry| !is_under(entry.path.as_str(), &skip))
        .map(|entry| (entry.path.as_str(), entry))
        .collect();
    let mut seen = 0;
    for (path, kind) in list(tree, &skip)? {
        let text = path.to_string_lossy();
        let Some(entry) = wanted.get(text.as_ref()) else {
            found.add(&text, FoundKind::Extra);
            continue;
        };
        seen += 1;
        if kind != FileType::RegularFile || !is_as_signed(tree, &path, entry)? {
            found.add(&text, FoundKind::Changed);
        }
    }
    if seen < wanted.len() {
        for path in wanted.keys() {
            if tree.kind(Path::new(path))?.is_none() {
                found.add(path, FoundKind::Missing);
            }
        }
    }
    Ok(found)
}

fn is_as_signed(tree: &Dir, path: &Path, entry: &FileEntry) -> Result<bool, FsError> {
    let Some(stat) = tree.stat(path)? else {
        return Ok(false);
    };
    let runnable = stat.st_mode & 0o100 != 0;
    if u64::try_from(stat.st_size).ok() != Some(entry.size) || runnable != entry.exec {
        return Ok(false);
    }
    let (digest, _) = hash(tree.open_file(path)?, &tree.path().join(path))?;
    Ok(digest == entry.sha256)
}

/// Whether `path` is one of `tops` or lies beneath one.
pub fn is_under(path: &str, tops: &BTreeSet<&str>) -> bool {
    tops.contains(path) || path.match_indices('/').any(|(at, _)| tops.contains(&path[..at]))
}

/// Everything in a tree but folders, sorted, without what lies at or under `skip`.
///
/// # Errors
/// It can not be read, or is nested deeper than any release.
pub fn list(tree: &Dir, skip: &BTreeSet<&str>) -> Result<Vec<(PathBuf, FileType)>, FsError> {
    let mut found = Vec::new();
    let mut waiting = vec![(PathBuf::new(), tree.again()?)];
    while let Some((at, dir)) = waiting.pop() {
        for (name, kind) in dir.entries()? {
            let path = at.join(&name);
            if path.to_str().is_some_and(|text| skip.contains(text)) {
                continue;
            }
            if kind != FileType::Directory {
                found.push((path, kind));
                continue;
            }
            if path.components().count() > MAX_DEPTH {
                return Err(io::Error::from(io::ErrorKind::InvalidInput)).at("read so deep a folder as", &path);
            }
            waiting.push((path, dir.open_dir(Path::new(&name))?));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

/// Deletes what waits in the trash. However deep a folder is nested, only one is open at a time: each is first moved
/// to the trash's top.
///
/// # Errors
/// Something can not be deleted; the rest is tried all the same.
pub fn empty_trash(site: &Site) -> Result<(), FsError> {
    let trash = site.work.open_dir(Path::new(TRASH))?;
    let mut first_error = None;
    let (mut next, mut moved) = (0_u64, 0_u64);
    loop {
        let before = moved;
        let names = trash.entries()?;
        if names.is_empty() {
            return Ok(());
        }
        let mut progress = false;
        for (name, kind) in names {
            match delete_one(&trash, Path::new(&name), kind, (&mut next, &mut moved)) {
                Ok(()) => progress = true,
                Err(e) => {
                    first_error.get_or_insert(e);
                }
            }
        }
        if !progress && moved == before {
            return first_error.map_or(Ok(()), Err);
        }
    }
}

fn delete_one(trash: &Dir, name: &Path, kind: FileType, (next, moved): (&mut u64, &mut u64)) -> Result<(), FsError> {
    crash_point!("tree.trash.delete");
    if kind != FileType::Directory {
        return trash.remove_file(name);
    }
    let dir = trash.open_dir(name)?;
    for (inner, kind) in dir.entries()? {
        let inner = Path::new(&inner);
        if kind == FileType::Directory && dir.remove_empty_dir(inner).is_err() {
            loop {
                *next += 1;
                match dir.rename_new(inner, trash, &PathBuf::from(format!("d{next}"))) {
                    Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists => {}
                    other => break other?,
                }
            }
            *moved += 1;
        } else if kind != FileType::Directory {
            dir.remove_file(inner)?;
        }
    }
    trash.remove_empty_dir(name)
}
