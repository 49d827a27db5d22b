//! Unix sockets: made with mode 0660, removed at the end, never taken from a process that lives.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::{UnixDatagram, UnixListener};

use super::IngestError;

/// The agent's user and the group: nobody else.
const MODE: u32 = 0o660;

/// A bound socket and its file, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Bound<S> {
    pub(super) inner: S,
    path: PathBuf,
}

impl<S> Drop for Bound<S> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Where datagrams go when the stream socket is at `path`.
pub(super) fn datagram_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".dgram");
    PathBuf::from(name)
}

/// Listens for streams at `path`.
pub(super) fn stream(path: &Path, group: Option<u32>) -> Result<Bound<UnixListener>, IngestError> {
    let alive = |path: &Path| std::os::unix::net::UnixStream::connect(path).map(|_| ());
    make(path, group, alive, |path| UnixListener::bind(path))
}

/// Listens for datagrams at `path`.
pub(super) fn datagrams(path: &Path, group: Option<u32>) -> Result<Bound<UnixDatagram>, IngestError> {
    let alive = |path: &Path| std::os::unix::net::UnixDatagram::unbound()?.connect(path);
    make(path, group, alive, |path| UnixDatagram::bind(path))
}

fn make<S>(
    path: &Path,
    group: Option<u32>,
    alive: impl FnOnce(&Path) -> io::Result<()>,
    bind: impl FnOnce(&Path) -> io::Result<S>,
) -> Result<Bound<S>, IngestError> {
    let failed = |error| IngestError::Socket(path.to_path_buf(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(IngestError::NotASocket(path.to_path_buf())),
        // A socket of an agent that was killed: nobody answers.
        Ok(_) if alive(path).is_err() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(IngestError::InUse(path.to_path_buf())),
    }
    let bound = Bound {
        inner: bind(path).map_err(failed)?,
        path: path.to_path_buf(),
    };
    // Until here the process's umask has kept others from writing, and without writing nobody connects.
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(failed)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
    Ok(bound)
}

/// The number of a group, from its name or number, as `/etc/group` says (group(5)); `None` when there is none.
pub fn group_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}
