//! Late writes: after a swap a process of the old version may still save by renaming, which puts a real file where its
//! tree had the link. When nobody has written to the data since the swap, that file is the newest truth; otherwise both
//! sides changed, and the running plugin keeps what it has.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use plugmend_shared::bundle::path::RelPath;
use rustix::fs::{FileType, Stat};

use super::{Dir, FsError, KEPT, PreserveError, Site, kept_numbers, kept_prefix, link_text, make_parent, next_name};

/// What [`Site::sweep`] found where only a link should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// Nothing.
    Clean,
    /// Newer data, which was taken in; what it replaced, if anything, lies at this path.
    TakenIn(Option<PathBuf>),
    /// Data that both sides changed: the other copy lies at this path.
    Kept(PathBuf),
}

/// What tells two states of a file apart: a write in place changes its length or time, one by renaming the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    ino: u64,
    size: i64,
    mtime: (i64, u64),
}

impl State {
    /// `None` for what is not a regular file.
    fn of(stat: &Stat) -> Option<Self> {
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| Self {
            ino: stat.st_ino,
            size: stat.st_size,
            mtime: super::mtime(stat),
        })
    }
}

/// What is known of a path's data before the swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Unknown,
    /// No regular file lay there.
    NoFile,
    Was(State),
}

impl From<Option<State>> for Known {
    fn from(state: Option<State>) -> Self {
        state.map_or(Self::NoFile, Self::Was)
    }
}

/// The plugin's data as it was right before the last swap. What an earlier life of the agent saw is unknown.
#[derive(Debug, Default)]
pub struct Before(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Inodes of the folders that the swap left: what an older tree holds may be of long before it.
    left: Vec<u64>,
    data: BTreeMap<String, Known>,
}

impl Before {
    /// Nothing is known any more: nobody can say which write came first.
    pub fn forget(&self) {
        *self.lock() = Memory::default();
    }

    /// The swap left the folder with this inode, too.
    pub fn also_left(&self, ino: u64) {
        self.lock().left.push(ino);
    }

    fn get(&self, ino: u64, rel: &RelPath) -> Known {
        let memory = self.lock();
        let known = memory.data.get(rel.as_str()).filter(|_| memory.left.contains(&ino));
        known.copied().unwrap_or_default()
    }

    fn set(&self, rel: &RelPath, state: Option<State>) {
        self.lock().data.insert(rel.as_str().to_owned(), state.into());
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// Remembers the state of the data at these paths, right before a swap that leaves the tree with the inode `left`.
    pub fn remember(&self, left: u64, data: &[RelPath]) {
        self.before.forget();
        self.before.also_left(left);
        for rel in data {
            // What can not be looked at stays unknown.
            if let Ok(stat) = self.work.stat(&Self::shared_path(rel)) {
                self.before.set(rel, stat.as_ref().and_then(State::of));
            }
        }
    }

    /// Looks at `rel` of a tree that does not run, while the one in `running` does. Late data is taken in when nobody has
    /// written since the swap, or when there is none; where both sides changed, both copies are kept and the caller is
    /// told. At no instant does the running plugin find nothing behind its link.
    ///
    /// # Errors
    /// The filesystem refused.
    pub fn sweep(&self, tree: &Dir, running: &Dir, rel: &RelPath) -> Result<Swept, PreserveError> {
        let path = Path::new(rel.as_str());
        let leaf = Path::new(path.file_name().unwrap_or_default());
        let parent = make_parent(tree, path)?;
        let Some(left) = parent.stat(leaf)? else {
            self.attach(tree, rel)?;
            return Ok(Swept::Clean);
        };
        let text = link_text(&self.work_name, rel);
        if parent.read_link(leaf)?.as_deref() == Some(text.as_path()) {
            return Ok(Swept::Clean);
        }
        // A running program that saves by renaming has its own file there, newer than what is shared.
        let linked = match running.read_link(path) {
            Ok(Some(found)) => found == text,
            Ok(None) => matches!(running.kind(path), Ok(None)),
            Err(_) => false,
        };
        let before = self.before.get(tree.identity()?.st_ino, rel);
        let shared = self.shared_parent(path)?;
        let now = shared.stat(leaf)?;
        let is_link = FileType::from_raw_mode(left.st_mode) == FileType::Symlink;
        let swept = if !linked || is_link {
            Swept::Kept(self.keep_linked(&parent, leaf, rel)?)
        } else if holds_nothing(&shared, leaf, &text)? && !matches!(before, Known::Was(_)) {
            self.bring(&parent, &shared, leaf, rel)?
        } else {
            match (State::of(&left), now.as_ref().and_then(State::of), before) {
                (Some(late), Some(now), Known::Was(before)) if now == before => {
                    self.replace(&parent, &shared, rel, (late, before))?
                }
                _ => Swept::Kept(self.keep_linked(&parent, leaf, rel)?),
            }
        };
        tracing::warn!(path = rel.as_str(), ?swept, "data was written late");
        Ok(swept)
    }

    /// One exchange puts the late file in the place of the one that nobody has written to since `before`.
    fn replace(
        &self,
        parent: &Dir,
        shared: &Dir,
        rel: &RelPath,
        (late, before): (State, State),
    ) -> Result<Swept, FsError> {
        let leaf = Path::new(Path::new(rel.as_str()).file_name().unwrap_or_default());
        parent.exchange(leaf, shared, leaf)?;
        crash_point!("preserve.sweep.after_exchange");
        if parent.stat(leaf)?.as_ref().and_then(State::of) != Some(before) {
            // Somebody wrote to it in that very instant.
            parent.exchange(leaf, shared, leaf)?;
            return Ok(Swept::Kept(self.keep_linked(parent, leaf, rel)?));
        }
        self.before.set(rel, Some(late));
        shared.sync()?;
        Ok(Swept::TakenIn(Some(self.keep_linked(parent, leaf, rel)?)))
    }

    /// Late data where there is none: it goes to its place by way of `kept/`, and stays there when the running plugin
    /// makes its own meanwhile.
    fn bring(&self, parent: &Dir, shared: &Dir, leaf: &Path, rel: &RelPath) -> Result<Swept, FsError> {
        let late = parent.stat(leaf)?.as_ref().and_then(State::of);
        let place = self.keep_linked(parent, leaf, rel)?;
        crash_point!("preserve.sweep.kept");
        let kept = self.work.open_dir(Path::new(KEPT))?;
        let name = Path::new(place.file_name().unwrap_or_default());
        match shared.kind(leaf)? {
            // Only an empty one goes.
            Some(FileType::Directory) => drop(shared.remove_empty_dir(leaf)),
            Some(FileType::Symlink) => shared.remove_file(leaf)?,
            _ => {}
        }
        match kept.rename_new(name, shared, leaf) {
            Err(e) if e.source.kind() == io::ErrorKind::AlreadyExists => Ok(Swept::Kept(place)),
            Err(e) => Err(e),
            Ok(()) => {
                self.before.set(rel, late);
                shared.sync()?;
                Ok(Swept::TakenIn(None))
            }
        }
    }

    /// One exchange: what lies in the tree goes to `kept/`, where all of them are kept; the link goes to the tree.
    fn keep_linked(&self, dir: &Dir, leaf: &Path, rel: &RelPath) -> Result<PathBuf, FsError> {
        let kept = self.work.open_dir(Path::new(KEPT))?;
        let prefix = kept_prefix(rel, 'c');
        let name = next_name(&prefix, &kept_numbers(&kept, &prefix)?);
        kept.symlink(&link_text(&self.work_name, rel), &name)?;
        if let Err(e) = dir.exchange(leaf, &kept, &name) {
            let _ = kept.remove_file(&name);
            return Err(e);
        }
        kept.sync()?;
        dir.sync()?;
        Ok(kept.path().join(name))
    }
}

/// Whether there is no data yet: nothing, the empty folder that was made for it, or the link of an interrupted try.
fn holds_nothing(shared: &Dir, leaf: &Path, text: &Path) -> Result<bool, FsError> {
    match shared.kind(leaf)? {
        None => Ok(true),
        Some(FileType::Directory) => Ok(shared.open_dir(leaf)?.entries()?.is_empty()),
        Some(FileType::Symlink) => Ok(shared.read_link(leaf)?.as_deref() == Some(text)),
        Some(_) => Ok(false),
    }
}
