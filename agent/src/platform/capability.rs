//! What the filesystem under the plugin can do, found by trying: what a kernel or a network filesystem promises and
//! what it does differ (see `renameat2(2)`: EINVAL from a filesystem that does not know a flag).

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags, StatxFlags};
use serde::{Deserialize, Serialize};

use super::{
    beneath::Dir,
    error::{Context as _, FsError},
};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, shown as it is")]
pub struct Capabilities {
    /// Two entries can be exchanged in one step (`RENAME_EXCHANGE`).
    pub exchange: bool,
    /// Symbolic links can be made.
    pub symlink: bool,
    /// Files can share their blocks until one is written to (`FICLONE`).
    pub reflink: bool,
    /// Plugin and working folder lie on one filesystem.
    pub same_filesystem: bool,
    /// The plugin's folder is a mount point, which nothing can exchange.
    pub mount_point: bool,
    /// The filesystem is mounted read-only.
    pub read_only: bool,
    /// This process may write in the plugin's own folder, which moving it elsewhere needs.
    pub plugin_writable: bool,
}

/// Whether the filesystem that holds `path` is mounted read-only.
///
/// # Errors
/// The system refused to look.
pub fn is_read_only(path: &Path) -> Result<bool, FsError> {
    let facts = rustix::fs::statvfs(path).at("look at the filesystem of", path)?;
    Ok(facts.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Bytes that this process may still write on the filesystem of `dir`, and its free inodes.
///
/// # Errors
/// The system refused to look.
pub fn free_space(dir: &Dir) -> Result<(u64, u64), FsError> {
    let facts = rustix::fs::fstatvfs(dir).at("look at the filesystem of", dir.path())?;
    // Filesystems without a fixed number of inodes say 0 of 0.
    let inodes = if facts.f_files == 0 { u64::MAX } else { facts.f_favail };
    Ok((facts.f_bavail.saturating_mul(facts.f_frsize), inodes))
}

/// Tries everything out in `work` (on the plugin's filesystem), for the plugin at `plugin`.
///
/// # Errors
/// Not even a file could be made there.
pub fn probe(work: &Dir, plugin: &Path) -> Result<Capabilities, FsError> {
    let trial = work.create_dirs(Path::new("probe"), 0o700)?;
    // An earlier life may have been ended in the middle of this.
    clear(&trial)?;
    let found = probe_in(&trial, work, plugin);
    clear(&trial)?;
    work.remove_empty_dir(Path::new("probe"))?;
    found
}

fn clear(trial: &Dir) -> Result<(), FsError> {
    for (name, _) in trial.entries()? {
        let name = PathBuf::from(name);
        trial.remove_file(&name).or_else(|_| trial.remove_empty_dir(&name))?;
    }
    Ok(())
}

/// What can be told without writing, and for the rest that the filesystem can do it: for a place where swaps were made
/// before, and where nothing can be tried out now.
///
/// # Errors
/// The system refused to look.
pub fn assumed(work: &Dir, plugin: &Path) -> Result<Capabilities, FsError> {
    let here = work.identity()?;
    // The plugin may be a link (the symlink layout): its own mount does not matter then, only its folder's.
    let there = rustix::fs::statat(rustix::fs::CWD, plugin, AtFlags::SYMLINK_NOFOLLOW).at("look at", plugin)?;
    Ok(Capabilities {
        exchange: true,
        symlink: true,
        reflink: false,
        same_filesystem: here.st_dev == there.st_dev,
        mount_point: is_mount_point(plugin),
        read_only: is_read_only(work.path())?,
        plugin_writable: rustix::fs::access(plugin, rustix::fs::Access::WRITE_OK).is_ok(),
    })
}

fn probe_in(trial: &Dir, work: &Dir, plugin: &Path) -> Result<Capabilities, FsError> {
    let (one, two) = (Path::new("one"), Path::new("two"));
    trial.create_dirs(one, 0o700)?;
    trial.create_dirs(two, 0o700)?;
    Ok(Capabilities {
        exchange: trial.exchange(one, trial, two).is_ok(),
        symlink: trial.symlink(Path::new("one"), Path::new("link")).is_ok(),
        reflink: reflinks(trial)?,
        ..assumed(work, plugin)?
    })
}

fn reflinks(trial: &Dir) -> Result<bool, FsError> {
    use std::io::Write as _;
    let mut from = trial.create_file(Path::new("from"), 0o600)?;
    from.write_all(&[1; 4096]).at("write", trial.path())?;
    let to = trial.create_file(Path::new("to"), 0o600)?;
    let from = trial.open_file(Path::new("from"))?;
    Ok(rustix::fs::ioctl_ficlone(&to, &from).is_ok())
}

/// Whether something is mounted exactly at `path`. Kernels before 5.8 do not say; the exchange itself then fails with
/// EBUSY and changes nothing.
pub fn is_mount_point(path: &Path) -> bool {
    const MOUNT_ROOT: u64 = 0x2000; // STATX_ATTR_MOUNT_ROOT, include/uapi/linux/stat.h
    let Ok(fd) = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        .is_ok_and(|facts| facts.stx_attributes.bits() & MOUNT_ROOT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_filesystem_can_exchange_and_link() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("plugin")).unwrap();
        let work = Dir::open(top.path()).unwrap();
        let found = probe(&work, &top.path().join("plugin")).unwrap();
        assert!(found.exchange && found.symlink && found.same_filesystem && found.plugin_writable);
        assert!(!found.mount_point && !found.read_only);
        assert!(!top.path().join("probe").exists());
    }

    #[test]
    fn a_mount_point_is_seen() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/proc/self")));
    }
}
