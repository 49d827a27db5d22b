//! One agent for one plugin: an advisory lock that the kernel lets go when its holder dies.

use std::{fs::File, path::Path, path::PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use thiserror::Error;

use super::{
    beneath::Dir,
    error::{Context as _, FsError},
};

/// The held lock. Dropping it lets it go.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for what its closing does")] File);

/// Why the lock was not had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error(
        "another agent already serves this plugin (it holds {}); stop it first, or give this one its own plugin",
        .0.display()
    )]
    Held(PathBuf),
    /// The file of the lock could not be used.
    #[error("the lock can not be taken")]
    Fs(#[from] FsError),
}

/// Takes the lock `name` in `dir`, without waiting.
///
/// # Errors
/// Somebody holds it, or its file can not be made.
pub fn acquire(dir: &Dir, name: &str) -> Result<Lock, LockError> {
    let path = dir.path().join(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, Path::new(name), flags, Mode::RUSR | Mode::WUSR).at("open the lock", &path)?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(File::from(fd))),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held(path)),
        Err(e) => Err(Err::<(), _>(e)
            .at("lock", &path)
            .err()
            .map_or(LockError::Held(path), LockError::Fs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_until_the_first_is_gone() {
        let top = tempfile::tempdir().unwrap();
        let dir = Dir::open(top.path()).unwrap();
        let first = acquire(&dir, "lock").unwrap();
        assert!(matches!(acquire(&dir, "lock"), Err(LockError::Held(_))));
        drop(first);
        assert!(acquire(&dir, "lock").is_ok());
    }
}
