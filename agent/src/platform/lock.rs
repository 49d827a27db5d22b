//! One agent for one plugin: an advisory lock that the kernel lets go when its holder dies.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

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

/// How often, and how long apart, a held lock is tried: a program that a killed agent was just starting holds it for
/// the moment until it has become that program.
const TRIES: u32 = 40;
const APART: Duration = Duration::from_millis(50);

/// Takes the lock `name` in `dir`. Waits two seconds at most.
///
/// # Errors
/// Somebody holds it, or its file can not be made.
pub fn acquire(dir: &Dir, name: &str) -> Result<Lock, LockError> {
    let path = dir.path().join(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, Path::new(name), flags, Mode::RUSR | Mode::WUSR).at("open the lock", &path)?;
    for _ in 0..TRIES {
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock(File::from(fd))),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(APART),
            other => other.at("lock", &path)?,
        }
    }
    Err(LockError::Held(path))
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
