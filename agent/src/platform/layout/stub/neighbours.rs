//! What lay beside the entry files when a plugin was adopted, still there under the same paths: a request that began
//! with the old entry file ends with its own other files, and pages that browsers or caches keep still find their
//! pictures.
//!
//! Files are hard links (a copy where the system refuses one): the same file under the same path, so that code which
//! loads a file once finds that it has, and one that writes to it in place writes to both. Folders are real ones, so that
//! `..` leads to the same place as before. The old tree is release zero, which nobody else changes.

use std::{io, path::Path};

use plugmend_shared::bundle::limits::MAX_DEPTH;
use rustix::{
    fs::{FileType, Mode, Stat, Timespec, Timestamps},
    io::Errno,
};

use crate::platform::{
    beneath::Dir,
    error::{Context as _, FsError},
    tree::copy_synced,
};

/// Puts everything of `old` that `made` has nothing in the place of there too. Mount points, pipes and sockets stay
/// where they are. Folders that `made` has stay the agent's own: the loaders and the releases lie in them.
pub(super) fn link(old: &Dir, made: &Dir) -> Result<(), FsError> {
    link_at(old, made, old.identity()?.st_dev, 0)
}

fn link_at(old: &Dir, made: &Dir, device: u64, depth: usize) -> Result<(), FsError> {
    if depth > MAX_DEPTH {
        return Err(io::Error::from(io::ErrorKind::InvalidInput)).at("read so deep a folder as", old.path());
    }
    for (entry, kind) in old.entries()? {
        let entry = Path::new(&entry);
        let there = made.kind(entry)?;
        let done = match (kind, there) {
            (FileType::Directory, None | Some(FileType::Directory)) => folder(old, made, entry, device, depth),
            (FileType::RegularFile, None) => file(old, made, entry),
            (FileType::Symlink, None) => match old.read_link(entry)? {
                Some(text) => made.symlink(&text, entry),
                None => Ok(()),
            },
            _ => Ok(()),
        };
        match done {
            // The plugin has removed it meanwhile, or made it here itself.
            Err(e) if e.is_missing() || e.source.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}

fn folder(old: &Dir, made: &Dir, name: &Path, device: u64, depth: usize) -> Result<(), FsError> {
    let inner = old.open_dir(name)?;
    if inner.identity()?.st_dev != device {
        return Ok(());
    }
    let new = made.kind(name)?.is_none();
    let copy = made.create_dirs(name, 0o755)?;
    link_at(&inner, &copy, device, depth + 1)?;
    if new { like(&inner, &copy) } else { Ok(()) }
}

/// Gives the folder `made` to who has `old`, with the same rights, as far as the system lets us.
fn like(old: &Dir, made: &Dir) -> Result<(), FsError> {
    let stat = old.identity()?;
    let _ = rustix::fs::fchown(
        made,
        Some(rustix::fs::Uid::from_raw(stat.st_uid)),
        Some(rustix::fs::Gid::from_raw(stat.st_gid)),
    );
    rustix::fs::fchmod(made, Mode::from_raw_mode(stat.st_mode & 0o7777)).at("set the mode of", made.path())
}

fn file(old: &Dir, made: &Dir, name: &Path) -> Result<(), FsError> {
    match old.hard_link(name, made, name) {
        Err(e) if refused(&e) => copy(old, made, name),
        other => other,
    }
}

/// Whether the system has no hard link for us: other people's files where `fs.protected_hardlinks` is on, say.
fn refused(error: &FsError) -> bool {
    let known = [Errno::PERM, Errno::MLINK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::XDEV];
    error
        .source
        .raw_os_error()
        .is_some_and(|code| known.iter().any(|errno| errno.raw_os_error() == code))
}

fn copy(old: &Dir, made: &Dir, name: &Path) -> Result<(), FsError> {
    let (file, path) = (old.open_file(name)?, made.path().join(name));
    let stat = rustix::fs::fstat(&file).at("look at", &path)?;
    copy_synced(file, made, name, stat.st_mode & 0o777)?;
    let time = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::futimens(made.open_file(name)?, &times).at("set the time of", &path)
}

/// Takes away from `root` what [`link`] has put there from `old`, a tree that is about to go. Links stay: behind some
/// of them lies the plugin's data.
pub(super) fn unlink(old: &Dir, root: &Dir) -> Result<(), FsError> {
    unlink_at(old, root).map(|_| ())
}

/// Gives whether something was taken away.
fn unlink_at(old: &Dir, root: &Dir) -> Result<bool, FsError> {
    let mut any = false;
    for (entry, kind) in old.entries()? {
        let entry = Path::new(&entry);
        let Some(there) = root.stat(entry)? else { continue };
        match kind {
            FileType::Directory if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                let inner = unlink_at(&old.open_dir(entry)?, &root.open_dir(entry)?)?;
                any |= inner;
                // One that has a loader, data or somebody else's files in it stays, as does an empty one that was here.
                let _ = inner.then(|| root.remove_empty_dir(entry));
            }
            FileType::RegularFile if old.stat(entry)?.is_some_and(|was| is_same(&was, &there)) => {
                root.remove_file(entry)?;
                any = true;
            }
            _ => {}
        }
    }
    Ok(any)
}

/// The same file, or a copy of it that nobody has changed.
fn is_same(one: &Stat, other: &Stat) -> bool {
    let content = |stat: &Stat| (stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) || content(one) == content(other)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn what_lay_beside_a_loader_is_found_there_until_its_tree_goes() {
        let top = tempfile::tempdir().unwrap();
        let (old, made) = (top.path().join("old"), top.path().join("made"));
        for folder in [
            old.join("inc/parts"),
            old.join("lib"),
            made.join("inc"),
            made.join("versions"),
        ] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in ["inc/pay.php", "inc/parts/one.php", "lib/two.php"] {
            fs::write(old.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("../inc/parts/one.php", old.join("lib/one.php")).unwrap();
        fs::write(made.join("inc/pay.php"), "loader").unwrap();
        let (old_dir, dir) = (Dir::open(&old).unwrap(), Dir::open(&made).unwrap());
        for _ in 0..2 {
            link(&old_dir, &dir).unwrap();
        }
        for (file, content) in [
            ("inc/pay.php", "loader"),
            ("inc/parts/one.php", "inc/parts/one.php"),
            ("lib/one.php", "inc/parts/one.php"),
            ("lib/two.php", "lib/two.php"),
        ] {
            assert_eq!(fs::read_to_string(made.join(file)).unwrap(), content);
        }
        let inode = |path: std::path::PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(old.join("lib/two.php")), inode(made.join("lib/two.php")));
        fs::write(made.join("inc/mine.txt"), "made since").unwrap();
        unlink(&old_dir, &dir).unwrap();
        assert!(!made.join("inc/parts").exists() && !made.join("lib/two.php").exists());
        assert!(made.join("inc/pay.php").exists() && made.join("inc/mine.txt").exists());
        assert_eq!(fs::read_to_string(old.join("lib/two.php")).unwrap(), "lib/two.php");
    }

    #[test]
    fn a_copy_stands_in_where_a_hard_link_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let (old, made) = (top.path().join("old"), top.path().join("made"));
        for folder in [&old, &made] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(old.join("pay.php"), "code").unwrap();
        let (old_dir, dir) = (Dir::open(&old).unwrap(), Dir::open(&made).unwrap());
        copy(&old_dir, &dir, Path::new("pay.php")).unwrap();
        assert_eq!(fs::read_to_string(made.join("pay.php")).unwrap(), "code");
        unlink(&old_dir, &dir).unwrap();
        assert!(!made.join("pay.php").exists());
    }
}
