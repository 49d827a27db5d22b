//! The plugin's own data (orders, uploads, settings) outlives every release: it lies once, in the working folder's
//! `shared/`, and each tree has a link to it.
//!
//! Taking a folder or file of the running plugin into `shared/` is one exchange: a link that already says where the
//! data will be takes the data's place in the very step that moves it. A process with the file open goes on writing to
//! the same inode, and one that opens it anew finds it through the link: no write is lost, none is made twice.
//!
//! Programs that save by renaming a new file over the old replace the link by a real file. That file is the newest
//! truth; it is taken in again, the same way, before each swap.

mod late;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use plugmend_shared::bundle::path::RelPath;
use rustix::fs::{FileType, Mode, Stat};
use thiserror::Error;

use super::{
    beneath::Dir,
    error::{Context as _, FsError},
    layout::Site,
    layout::{KEPT, SHARED},
};

pub use late::{Before, Swept};

/// How often a plugin may change the entry under our hands before we give up.
const TRIES: usize = 16;
/// Copies kept of a file that a program replaced, per path.
const KEPT_COPIES: usize = 5;

/// Why data could not be kept safe. Nothing was moved.
#[derive(Debug, Error)]
pub enum PreserveError {
    /// The filesystem refused.
    #[error("the plugin's data could not be kept safe; the change is not made")]
    Fs(#[from] FsError),
    /// A filesystem of its own is mounted there.
    #[error(
        "{} is a mount point, which can not be moved; mount it at {} instead and the plugin will find it through a link",
        path.display(), target.display()
    )]
    MountPoint {
        /// Where it is mounted.
        path: PathBuf,
        /// Where it should be.
        target: PathBuf,
    },
    /// A link with a relative text, which would lead elsewhere from another folder.
    #[error("{} is a relative link, which would lead elsewhere from another folder; make it absolute", .0.display())]
    RelativeLink(PathBuf),
    /// The plugin keeps replacing the entry.
    #[error("{} kept changing while it was taken in; try again when the plugin is quieter", .0.display())]
    Unsteady(PathBuf),
}

/// Text of the link at `rel` in a tree. It leads to the shared data from a tree at the plugin's path, and through the
/// working folder's link to itself from a tree that lies there.
pub fn link_text(work_name: &OsStr, rel: &RelPath) -> PathBuf {
    let depth = rel.as_str().split('/').count();
    let mut text = PathBuf::new();
    for _ in 0..depth {
        text.push("..");
    }
    text.push(work_name);
    text.push(SHARED);
    text.push(rel.as_str());
    text
}

impl Site {
    /// Takes the data at `rel` of the running tree into `shared/`, and leaves the link. Twice does no harm. Where another
    /// process wrote to the copy in `shared/` later than the plugin to its own, it gives where that copy is kept.
    ///
    /// # Errors
    /// It can not be moved; everything is then as it was.
    pub fn absorb(&self, tree: &Dir, rel: &RelPath) -> Result<Option<PathBuf>, PreserveError> {
        let path = Path::new(rel.as_str());
        let text = link_text(&self.work_name, rel);
        let shared = self.shared_parent(path)?;
        let leaf = Path::new(path.file_name().unwrap_or_default());
        for _ in 0..TRIES {
            let parent = make_parent(tree, path)?;
            let here = parent.read_link(leaf)?;
            match parent.kind(leaf)? {
                Some(FileType::Symlink) if here.as_deref() == Some(text.as_path()) => {
                    self.ensure_shared(&shared, rel, &text)?;
                    return Ok(None);
                }
                Some(FileType::Symlink) if here.is_some_and(|to| to.is_relative()) => {
                    return Err(PreserveError::RelativeLink(tree.path().join(path)));
                }
                Some(_) => match self.take_in(&parent, &shared, rel, &text) {
                    // The plugin removed it meanwhile: look again.
                    Err(e) if e.is_missing() => {}
                    Err(e) if is_busy(&e) => {
                        return Err(PreserveError::MountPoint {
                            path: tree.path().join(path),
                            target: shared.path().join(leaf),
                        });
                    }
                    other => return Ok(other?),
                },
                None => {
                    self.ensure_shared(&shared, rel, &text)?;
                    match parent.symlink(&text, leaf) {
                        Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists => {}
                        other => return Ok(other.map(|()| None)?),
                    }
                }
            }
        }
        Err(PreserveError::Unsteady(tree.path().join(path)))
    }

    /// One exchange: what lies in the tree goes to `shared/`, the link goes to the tree.
    fn take_in(&self, parent: &Dir, shared: &Dir, rel: &RelPath, text: &Path) -> Result<Option<PathBuf>, FsError> {
        let leaf = Path::new(Path::new(rel.as_str()).file_name().unwrap_or_default());
        let mut later = None;
        if shared.read_link(leaf)?.as_deref() != Some(text) {
            if let Some(there) = shared.stat(leaf)? {
                // The tree has the running plugin's truth; the copy that it replaced is kept all the same.
                let here = parent.stat(leaf)?;
                let both = is_plain(&there) && here.is_some_and(|here| mtime(&there) > mtime(&here));
                let kept = self.keep(shared, leaf, rel, if both { 'c' } else { 'r' })?;
                later = both.then_some(kept);
                crash_point!("preserve.absorb.after_keep");
            }
            shared.symlink(text, leaf)?;
        }
        crash_point!("preserve.absorb.before_exchange");
        parent.exchange(leaf, shared, leaf)?;
        crash_point!("preserve.absorb.after_exchange");
        parent.sync()?;
        shared.sync()?;
        Ok(later)
    }

    /// Makes sure that the link will lead somewhere: to an empty folder when the path looks like one. A file is left
    /// to the plugin to make, through the link.
    fn ensure_shared(&self, shared: &Dir, rel: &RelPath, text: &Path) -> Result<(), FsError> {
        let path = Path::new(rel.as_str());
        let leaf = Path::new(path.file_name().unwrap_or_default());
        if shared.read_link(leaf)?.as_deref() == Some(text) {
            shared.remove_file(leaf)?;
        }
        if shared.kind(leaf)?.is_none() && path.extension().is_none() {
            let made = shared.create_dirs(leaf, 0o775)?;
            self.give_to_plugin(&made)?;
            shared.sync()?;
        }
        Ok(())
    }

    /// Puts the link at `rel` of a tree that does not run. What lies there already is left alone.
    ///
    /// # Errors
    /// The filesystem refused.
    pub fn attach(&self, tree: &Dir, rel: &RelPath) -> Result<(), FsError> {
        let path = Path::new(rel.as_str());
        let parent = make_parent(tree, path)?;
        let leaf = Path::new(path.file_name().unwrap_or_default());
        match parent.symlink(&link_text(&self.work_name, rel), leaf) {
            Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// For a tree that is about to be deleted: what lies where a link should be is moved to `kept/`, never deleted.
    ///
    /// # Errors
    /// The filesystem refused; the tree must then stay.
    pub fn rescue(&self, tree: &Dir, rel: &RelPath) -> Result<(), FsError> {
        let path = Path::new(rel.as_str());
        let kind = match tree.kind(path) {
            // Something on the way is no folder: a release's own file, and no data of the plugin's.
            Err(e) if e.source.raw_os_error() == Some(rustix::io::Errno::NOTDIR.raw_os_error()) => return Ok(()),
            other => other?,
        };
        let (Some(leaf), true) = (path.file_name(), !matches!(kind, None | Some(FileType::Symlink))) else {
            return Ok(());
        };
        let why = if kind == Some(FileType::RegularFile) { 'r' } else { 'c' };
        self.keep(&make_parent(tree, path)?, Path::new(leaf), rel, why)?;
        Ok(())
    }

    /// Gives a path that has no data yet a copy of what the running release brought there: from now on it is the
    /// plugin's own.
    ///
    /// # Errors
    /// No room, or the filesystem refused.
    pub fn seed(&self, tree: &Dir, rel: &RelPath) -> Result<(), FsError> {
        let path = Path::new(rel.as_str());
        let leaf = Path::new(path.file_name().unwrap_or_default());
        if !matches!(tree.kind(path), Ok(Some(FileType::RegularFile))) {
            return Ok(());
        }
        let shared = self.shared_parent(path)?;
        if shared.kind(leaf)?.is_some() {
            return Ok(());
        }
        let temp = Path::new(".plugmend-seed");
        shared.remove_file(temp)?;
        super::tree::copy_synced(tree.open_file(path)?, &shared, temp, 0o664)?;
        shared.rename_new(temp, &shared, leaf)?;
        shared.sync()
    }

    /// Where the data of `rel` lies, once it was taken in.
    pub fn shared_path(rel: &RelPath) -> PathBuf {
        Path::new(SHARED).join(rel.as_str())
    }

    /// Moves `from`, which was the data of `rel` until now, to `kept/`; where to is told. The last five are kept.
    ///
    /// # Errors
    /// The filesystem refused.
    pub fn keep_replaced(&self, from: &Path, rel: &RelPath) -> Result<PathBuf, FsError> {
        let parent = match from.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.work.open_dir(parent)?,
            _ => self.work.again()?,
        };
        self.keep(&parent, Path::new(from.file_name().unwrap_or_default()), rel, 'r')
    }

    /// Moves an entry to `kept/`, under a name that tells where it was; `why` sorts them: `r` replaced by the plugin
    /// (the last five are kept), `c` changed on both sides (all are kept).
    fn keep(&self, dir: &Dir, leaf: &Path, rel: &RelPath, why: char) -> Result<PathBuf, FsError> {
        let kept = self.work.open_dir(Path::new(KEPT))?;
        let prefix = kept_prefix(rel, why);
        let numbers = kept_numbers(&kept, &prefix)?;
        let name = next_name(&prefix, &numbers);
        dir.rename_new(leaf, &kept, &name)?;
        kept.sync()?;
        if why == 'r' {
            for old in numbers.iter().rev().skip(KEPT_COPIES - 1) {
                self.throw_away(&kept, Path::new(&format!("{prefix}{old}")))?;
            }
        }
        Ok(kept.path().join(name))
    }

    fn shared_parent(&self, path: &Path) -> Result<Dir, FsError> {
        let shared = self.work.open_dir(Path::new(SHARED))?;
        make_parent(&shared, path)
    }

    /// Gives a folder that the agent made for the plugin to the plugin's owner, where the system lets us.
    fn give_to_plugin(&self, made: &Dir) -> Result<(), FsError> {
        let Some(owner) = self.parent.stat(self.plugin())? else {
            return Ok(());
        };
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(owner.st_uid),
            rustix::fs::Gid::from_raw(owner.st_gid),
        );
        // Without the right to give things away the group's bit is what lets the plugin write.
        let _ = rustix::fs::fchown(made, Some(uid), Some(gid)).or_else(|_| rustix::fs::fchown(made, None, Some(gid)));
        rustix::fs::fchmod(made, Mode::from_raw_mode(0o775)).at("set the mode of", made.path())
    }
}

fn make_parent(dir: &Dir, path: &Path) -> Result<Dir, FsError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => dir.create_dirs(parent, 0o755),
        _ => dir.again(),
    }
}

fn kept_prefix(rel: &RelPath, why: char) -> String {
    let flat = rel.as_str().replace('%', "%25").replace('/', "%2F");
    format!("{why}-{flat}.")
}

/// The numbers of the copies that are kept under `prefix`, lowest first.
fn kept_numbers(kept: &Dir, prefix: &str) -> Result<Vec<u64>, FsError> {
    let mut numbers: Vec<u64> = Vec::new();
    for (name, _) in kept.entries()? {
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn next_name(prefix: &str, numbers: &[u64]) -> PathBuf {
    let next = numbers.last().map_or(0, |n| n.saturating_add(1));
    PathBuf::from(format!("{prefix}{next}"))
}

fn is_busy(error: &FsError) -> bool {
    matches!(
        error.source.kind(),
        io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices
    )
}

fn is_plain(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn mtime(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

#[cfg(test)]
mod tests;
