//! Small files that only the agent may read: written whole or not at all, and never through a link.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Why a private file could not be read or written.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// The operating system refused.
    #[error("{what} {path} failed; check the folder's owner and the free space")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others could have read or changed it.
    #[error(
        "{0} is open to others or belongs to someone else; make it the agent's own with mode 0600 (its folder 0700), or enrol anew if others may have read it"
    )]
    Exposed(PathBuf),
    /// It is not a regular file of a sensible size.
    #[error("{0} is not a regular file of at most 256 KiB")]
    NotAFile(PathBuf),
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PrivateFileError + 'a {
    move |source| PrivateFileError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Makes the folder, for its owner only; one that exists is narrowed to that.
pub fn make_dir(dir: &Path) -> Result<(), PrivateFileError> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => give_to_parents_owner(dir)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("creating", dir)(error)),
    }
    let meta = fs::symlink_metadata(dir).map_err(failed("looking at", dir))?;
    if !meta.is_dir() || !ours(meta.uid()) {
        return Err(PrivateFileError::Exposed(dir.to_owned()));
    }
    if meta.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed("narrowing", dir))?;
    }
    Ok(())
}

/// Root may look after the files of the agent's own user, nobody else's are trusted.
fn ours(owner: u32) -> bool {
    let me = rustix::process::geteuid().as_raw();
    me == 0 || me == owner
}

/// A person enrols as root, the daemon runs as its own user: what root makes here belongs to whom the folder belongs.
fn give_to_parents_owner(path: &Path) -> Result<(), PrivateFileError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let owner = fs::metadata(parent).map_err(failed("looking at", parent))?;
    std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid())).map_err(failed("giving away", path))
}

/// Reads a private file; `None` when there is none.
pub fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateFileError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(
            (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK)
                .bits()
                .cast_signed(),
        )
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("opening", path)(error)),
    };
    let meta = file.metadata().map_err(failed("looking at", path))?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(PrivateFileError::NotAFile(path.to_owned()));
    }
    if meta.mode() & 0o077 != 0 || !ours(meta.uid()) {
        return Err(PrivateFileError::Exposed(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed("reading", path))?;
    Ok(Some(bytes))
}

/// Replaces the file: after a power cut it holds the old bytes or the new ones.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let fresh = path.with_extension("new");
    remove(&fresh)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed("creating", &fresh))?;
    give_to_parents_owner(&fresh)?;
    file.write_all(bytes).map_err(failed("writing", &fresh))?;
    file.sync_all().map_err(failed("syncing", &fresh))?;
    fs::rename(&fresh, path).map_err(failed("replacing", path))?;
    sync_parent(path)
}

/// Removes the file, if there is one.
pub fn remove(path: &Path) -> Result<(), PrivateFileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("removing", path)(error)),
    }
}

fn sync_parent(path: &Path) -> Result<(), PrivateFileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("syncing the folder of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        replace(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(PrivateFileError::Exposed(_))));
    }

    #[test]
    fn a_link_in_the_files_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        replace(&real, b"x").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(matches!(read(&link), Err(PrivateFileError::Io { .. })));
        replace(&link, b"y").unwrap();
        assert_eq!(read(&real).unwrap().unwrap().as_slice(), b"x");
    }

    #[test]
    fn what_a_killed_writer_left_does_not_stop_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        fs::write(dir.path().join("identity.new"), b"half").unwrap();
        replace(&path, b"whole").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"whole");
    }

    #[test]
    fn an_oversized_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        let big = vec![b' '; usize::try_from(MAX_BYTES).unwrap() + 1];
        replace(&path, &big).unwrap();
        assert!(matches!(read(&path), Err(PrivateFileError::NotAFile(_))));
    }
}
