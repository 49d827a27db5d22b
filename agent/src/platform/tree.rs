//! Trees of files: copied beside, compared with a manifest, deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use plugmend_shared::{
    bundle::{
        limits::{MAX_DEPTH, MAX_FILES},
        manifest::FileEntry,
        path::RelPath,
    },
    ids::Digest,
    protocol::heartbeat::{FoundCounts, FoundKind},
};
use rustix::{
    fs::{FileType, Timespec, Timestamps},
    io::Errno,
};
use sha2::{Digest as _, Sha256};

use super::{
    beneath::Dir,
    error::{Context as _, FsError},
    layout::{Site, TRASH},
};

const BUFFER: usize = 64 * 1024;
/// The most entries of a tree that are looked at: twice what a release may have.
const MAX_LISTED: usize = 2 * MAX_FILES;

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
pub fn hash(mut file: impl Read, path: &Path) -> Result<(Digest, u64), FsError> {
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
/// What can not be looked into differs: nobody hides a file by locking the door.
///
/// # Errors
/// The system gives this process no more files or memory, whatever the tree is like.
pub fn compare(tree: &Dir, files: &[FileEntry], preserved: &[RelPath]) -> Result<Differences, FsError> {
    let mut found = Differences::default();
    let skip: BTreeSet<&str> = preserved.iter().map(RelPath::as_str).collect();
    let wanted: BTreeMap<&str, &FileEntry> = files
        .iter()
        .filter(|entry| !is_under(entry.path.as_str(), &skip))
        .map(|entry| (entry.path.as_str(), entry))
        .collect();
    let mut seen = 0;
    let listed = list(tree, &skip)?;
    for folder in &listed.closed {
        let text = folder.to_string_lossy();
        let ours = wanted.keys().any(|path| Path::new(path).starts_with(folder));
        let kind = if ours { FoundKind::Changed } else { FoundKind::Extra };
        found.add(if text.is_empty() { "." } else { &text }, kind);
    }
    for (path, kind) in listed.entries {
        let text = path.to_string_lossy();
        let Some(entry) = wanted.get(text.as_ref()) else {
            found.add(&text, FoundKind::Extra);
            continue;
        };
        seen += 1;
        if kind != FileType::RegularFile || !theirs(is_as_signed(tree, &path, entry))?.unwrap_or(false) {
            found.add(&text, FoundKind::Changed);
        }
    }
    if seen < wanted.len() {
        for path in wanted.keys() {
            match theirs(tree.kind(Path::new(path)))? {
                // A file in the place of a folder on the way, say.
                Some(None) | None => found.add(path, FoundKind::Missing),
                Some(Some(_)) => {}
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
    // One that grows all the while is read no further than it should be long.
    let file = tree.open_file(path)?.take(entry.size.saturating_add(1));
    Ok(hash(file, &tree.path().join(path))? == (entry.sha256, entry.size))
}

/// `None` for an error that comes of what lies there, which whoever writes there can bring about.
fn theirs<V>(looked: Result<V, FsError>) -> Result<Option<V>, FsError> {
    match looked {
        Ok(value) => Ok(Some(value)),
        Err(e) if is_ours(&e) => Err(e),
        Err(_) => Ok(None),
    }
}

/// Whether an error says nothing of the file: this process may open no more, or there is no memory.
pub fn is_ours(error: &FsError) -> bool {
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(|errno| Some(errno.raw_os_error()));
    ours.contains(&error.source.raw_os_error())
}

/// Whether `path` is one of `tops` or lies beneath one.
pub fn is_under(path: &str, tops: &BTreeSet<&str>) -> bool {
    tops.contains(path) || path.match_indices('/').any(|(at, _)| tops.contains(&path[..at]))
}

/// What [`list`] found.
#[derive(Debug, Default)]
pub struct Listed {
    /// Everything but folders, sorted.
    pub entries: Vec<(PathBuf, FileType)>,
    /// Folders that were not looked into: not readable, nested deeper than any release, or one too many.
    pub closed: Vec<PathBuf>,
}

/// Everything in a tree without what lies at or under `skip`. One folder is open at a time.
///
/// # Errors
/// The system gives this process no more files or memory.
pub fn list(tree: &Dir, skip: &BTreeSet<&str>) -> Result<Listed, FsError> {
    let mut found = Listed::default();
    let mut waiting = vec![PathBuf::new()];
    let mut seen = 0;
    while let Some(at) = waiting.pop() {
        let dir = if at.as_os_str().is_empty() {
            tree.again()
        } else {
            tree.open_dir(&at)
        };
        let entries = match dir.and_then(|dir| dir.entries()) {
            Err(e) if e.is_missing() => continue,
            entries => theirs(entries)?.filter(|entries| entries.len() <= MAX_LISTED - seen),
        };
        let Some(entries) = entries else {
            found.closed.push(at);
            continue;
        };
        seen += entries.len();
        for (name, kind) in entries {
            let path = at.join(&name);
            if path.to_str().is_some_and(|text| skip.contains(text)) {
                continue;
            }
            if kind != FileType::Directory {
                found.entries.push((path, kind));
            } else if path.components().count() > MAX_DEPTH {
                found.closed.push(path);
            } else {
                waiting.push(path);
            }
        }
    }
    found.entries.sort_by(|one, other| one.0.cmp(&other.0));
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

#[cfg(test)]
mod tests;
