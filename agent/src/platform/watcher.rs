//! Sees changes of a folder's files as they happen, by inotify(7). The kernel gives so many watches to each user; where
//! they do not suffice, the caller is told and compares on its slow cycle alone.

use std::{
    collections::BTreeSet,
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use plugmend_shared::bundle::path::RelPath;
use rustix::{
    fs::{
        FileType,
        inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    },
    io::Errno,
};
use thiserror::Error;
use tokio::io::unix::AsyncFd;

use super::{beneath::Dir, error::FsError};

/// The most folders that are watched: each costs the kernel about a kilobyte.
pub const MAX_FOLDERS: usize = 2_000;
/// Room for some dozen events; the rest comes with the next read.
const BUFFER: usize = 4096;

/// Why changes are not seen as they happen.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The tree has too many folders.
    #[error("the plugin has more than {MAX_FOLDERS} folders")]
    TooMany,
    /// The kernel gives no more watches.
    #[error("the kernel gives this user no more watches (fs.inotify.max_user_watches, fs.inotify.max_user_instances)")]
    NoneLeft,
    /// The folder can not be read.
    #[error("the folder can not be read")]
    Fs(#[from] FsError),
    /// The kernel refused.
    #[error("the kernel refused to watch")]
    Io(#[from] io::Error),
}

/// What changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Something in the tree, or so much that the kernel lost count.
    pub tree: bool,
    /// Something beside the settings file.
    pub settings: bool,
}

/// Watches one tree, and the folder of one settings file.
#[derive(Debug)]
pub struct Watcher {
    fd: AsyncFd<OwnedFd>,
    settings: Option<i32>,
}

impl Watcher {
    /// Watches every folder of `tree` but for those at or under `preserved`, and `settings`, a folder, beside. Links are
    /// not followed. Needs the runtime that it will be waited for on.
    ///
    /// # Errors
    /// Why it can not; nothing is watched then.
    pub fn open(tree: &Dir, preserved: &[RelPath], settings: Option<&Path>) -> Result<Self, WatchError> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(refused)?;
        let skip: BTreeSet<&str> = preserved.iter().map(RelPath::as_str).collect();
        for folder in folders(tree, &skip)? {
            match inotify::add_watch(&fd, tree.path().join(&folder), in_tree()) {
                // It is gone already, which is an event of its parent.
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(e) => return Err(refused(e)),
            }
        }
        let settings = settings.and_then(|folder| inotify::add_watch(&fd, folder, in_settings()).ok());
        // Deprecated for types that could change their descriptor while it is registered; this one owns it and can not.
        #[expect(deprecated, reason = "its safe successor is an unsafe function")]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd, settings })
    }

    /// Waits until something changed, and takes all that has changed until now.
    ///
    /// # Errors
    /// The kernel refused; it is of no use any more.
    pub async fn changed(&self) -> io::Result<Changed> {
        loop {
            let mut ready = self.fd.readable().await?;
            let changed = self.read()?;
            ready.clear_ready();
            if changed != Changed::default() {
                return Ok(changed);
            }
        }
    }

    fn read(&self) -> io::Result<Changed> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.fd.get_ref(), &mut buffer);
        let mut changed = Changed::default();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => changed = EVERYTHING,
                // The end of a watch, which follows an event that is told.
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                Ok(event) if self.settings == Some(event.wd()) => changed.settings = true,
                Ok(_) => changed.tree = true,
                Err(Errno::AGAIN) => return Ok(changed),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

const EVERYTHING: Changed = Changed {
    tree: true,
    settings: true,
};

/// Everything by which the content, the names or the rights of a tree change. Reading is none of it.
fn in_tree() -> WatchFlags {
    WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::DONT_FOLLOW
        | WatchFlags::EXCL_UNLINK
}

/// A file that was written to its end, or came into place.
fn in_settings() -> WatchFlags {
    WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::ONLYDIR
}

fn refused(error: Errno) -> WatchError {
    match error {
        Errno::NOSPC | Errno::MFILE | Errno::NFILE => WatchError::NoneLeft,
        other => WatchError::Io(other.into()),
    }
}

fn folders(tree: &Dir, skip: &BTreeSet<&str>) -> Result<Vec<PathBuf>, WatchError> {
    let mut found = vec![PathBuf::new()];
    let mut next = 0;
    while let Some(at) = found.get(next).cloned() {
        next += 1;
        let dir = if at.as_os_str().is_empty() {
            tree.again()?
        } else {
            match tree.open_dir(&at) {
                Ok(dir) => dir,
                Err(e) if e.is_missing() => continue,
                Err(e) => return Err(e.into()),
            }
        };
        for (name, kind) in dir.entries()? {
            let path = at.join(&name);
            if kind == FileType::Directory && path.to_str().is_none_or(|text| !skip.contains(text)) {
                found.push(path);
            }
        }
        if found.len() > MAX_FOLDERS {
            return Err(WatchError::TooMany);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tokio::time::timeout;

    use super::*;

    async fn soon(watcher: &Watcher) -> Changed {
        let waited = timeout(Duration::from_secs(20), watcher.changed()).await;
        waited.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_change_anywhere_in_the_tree_is_seen_and_the_plugins_data_are_not() {
        let top = tempfile::tempdir().unwrap();
        let (tree, settings) = (top.path().join("tree"), top.path().join("shared"));
        for folder in ["lib/deep", "data"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        fs::create_dir(&settings).unwrap();
        fs::write(tree.join("lib/deep/a"), "a").unwrap();
        let dir = Dir::open(&tree).unwrap();
        let preserved = [RelPath::new("data").unwrap()];
        let watcher = Watcher::open(&dir, &preserved, Some(&settings)).unwrap();
        fs::write(tree.join("data/orders"), "1").unwrap();
        assert_eq!(watcher.read().unwrap(), Changed::default());
        let changes: [(&str, &dyn Fn()); 4] = [
            ("written", &|| fs::write(tree.join("lib/deep/a"), "b").unwrap()),
            ("made", &|| fs::write(tree.join("lib/new"), "n").unwrap()),
            ("moved", &|| fs::rename(tree.join("lib/new"), tree.join("b")).unwrap()),
            ("removed", &|| fs::remove_file(tree.join("b")).unwrap()),
        ];
        for (what, change) in changes {
            change();
            assert!(soon(&watcher).await.tree, "{what}");
        }
        fs::write(settings.join("settings.json"), "{}").unwrap();
        let seen = soon(&watcher).await;
        assert_eq!((seen.tree, seen.settings), (false, true));
    }

    #[tokio::test]
    async fn too_large_a_tree_is_refused_and_said() {
        let top = tempfile::tempdir().unwrap();
        for n in 0..=MAX_FOLDERS {
            fs::create_dir(top.path().join(n.to_string())).unwrap();
        }
        let refused = Watcher::open(&Dir::open(top.path()).unwrap(), &[], None);
        assert!(matches!(refused, Err(WatchError::TooMany)));
    }
}
