//! What may be lost in a power cut without harm, in sled: spooled windows, the rolling day, unsent results, tuning.
//!
//! sled's flush does not reach the disk's cache, so nothing that the swap rests on is here (that is the ledger), and
//! numbers that may never repeat are floored by [`super::sequence`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use thiserror::Error;

/// Another process may hold the lock for a moment after it was told to stop.
const OPEN_ATTEMPTS: u32 = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// Why something could not be kept or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("another agent runs on this state_dir (it holds {0}); stop it first, or give this one its own state_dir")]
    Held(PathBuf),
    /// sled could not be opened.
    #[error("the agent's store in {0} can not be opened; is the disk full, or the directory somebody else's?")]
    Open(PathBuf, #[source] sled::Error),
    /// A damaged store could not be moved out of the way.
    #[error("the agent's store in {0} is damaged and can not be moved aside; move it by hand")]
    MoveAside(PathBuf, #[source] io::Error),
    /// sled could not read or write.
    #[error("the agent's store can not be read or written; is the disk full?")]
    Sled(#[from] sled::Error),
    /// A value does not have the shape it was written with.
    #[error("an entry of the agent's store is damaged; it was left out")]
    Damaged(#[source] serde_json::Error),
    /// The file of [`super::sequence`] could not be read or written.
    #[error("the file {0} can not be read or written; is the disk full?")]
    Sequence(PathBuf, #[source] io::Error),
}

/// What is found at a start in a store that can not be read: nothing. All of it may be lost, and an agent that does not
/// start looks after no plugin.
pub fn or_nothing<T: Default>(found: Result<T, StoreError>) -> T {
    found.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::warn!("the agent starts without what its store holds: {error}: {cause}");
        T::default()
    })
}

/// The store. All of it lives in one tree: each tree costs pages, and this runs beside shops on small hosts.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
    /// `None` after an input or output error (sled repeats its first one for ever) and while it can not be opened: the
    /// next call opens it.
    db: Mutex<Option<sled::Db>>,
    pub(super) spool: Mutex<super::spool::Size>,
    /// What was in the spool when the store was opened again; until it is taken over.
    pub(super) measured: Mutex<Option<super::spool::Size>>,
}

/// An opened store, and whether it had to be made anew.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub kept: Kept,
    /// Where the damaged one was moved, when it was.
    pub moved_aside: Option<PathBuf>,
    /// Why it can not be used yet, when it can not.
    pub closed: Option<StoreError>,
}

impl Kept {
    /// Opens the store in `dir`, or makes it. A damaged one is moved aside (the last is kept) and made anew: everything
    /// in it can be lost without harm, and an agent that does not start can not. For the same reason one that can not be
    /// had now (a full disk, say) is opened later, by the first call that can.
    ///
    /// # Errors
    /// When it is locked by another process for longer than a restart takes.
    pub fn open(dir: &Path) -> Result<Opened, StoreError> {
        let (db, moved_aside, closed) = match open_or_renew(dir) {
            Ok((db, moved_aside)) => (Some(db), moved_aside, None),
            Err(held @ StoreError::Held(_)) => return Err(held),
            Err(error) => (None, None, Some(error)),
        };
        let size = db.as_ref().map(super::spool::Size::measure).transpose()?;
        let kept = Self {
            dir: dir.to_path_buf(),
            db: Mutex::new(db),
            spool: Mutex::new(size.unwrap_or_default()),
            measured: Mutex::default(),
        };
        Ok(Opened {
            kept,
            moved_aside,
            closed,
        })
    }

    /// Lets `act` read and write. After an input or output error (a full disk, say) the next call opens the store
    /// anew: what had reached the disk is there again, and with room on the disk everything works as before.
    ///
    /// # Errors
    /// Those of `act`, or that the store can not be opened again yet.
    pub(super) fn on<T>(&self, act: impl FnOnce(&sled::Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let db = {
            let mut slot = self.slot();
            if let Some(db) = &*slot {
                db.clone()
            } else {
                let db = open_or_renew(&self.dir)?.0;
                // What had not reached the disk is gone.
                let size = super::spool::Size::measure(&db)?;
                *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(size);
                slot.insert(db).clone()
            }
        };
        let done = act(&db);
        if matches!(&done, Err(StoreError::Sled(sled::Error::Io(_)))) {
            *self.slot() = None;
        }
        done
    }

    /// As an input or output error does.
    #[cfg(test)]
    pub(super) fn close(&self) {
        *self.slot() = None;
    }

    fn slot(&self) -> MutexGuard<'_, Option<sled::Db>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands everything written so far to the operating system.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.on(|db| {
            db.flush()?;
            Ok(())
        })
    }

    pub(super) fn read_json<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.on(|db| Ok(db.get(key)?))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(StoreError::Damaged)
    }

    pub(super) fn write_json(&self, key: &[u8], value: &impl serde::Serialize) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(StoreError::Damaged)?;
        self.on(|db| {
            db.insert(key, bytes)?;
            Ok(())
        })
    }
}

/// Opens the database in `dir`; one that is damaged is moved aside and made anew.
fn open_or_renew(dir: &Path) -> Result<(sled::Db, Option<PathBuf>), StoreError> {
    match try_open(dir) {
        Ok(db) => Ok((db, None)),
        Err(StoreError::Open(_, error) | StoreError::Sled(error)) if is_damage(&error) => {
            let aside = move_aside(dir)?;
            Ok((try_open(dir)?, Some(aside)))
        }
        Err(error) => Err(error),
    }
}

/// Whether an error stays as long as the files do. Any other (no room, no right) may pass, and the files are kept.
fn is_damage(error: &sled::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        sled::Error::Io(error) => {
            let bad_sector = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
            bad_sector || matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
        }
        _ => true,
    }
}

fn try_open(dir: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(100_000)
        .segment_size(8192)
        // Flushed by hand at each heartbeat: no thread that wakes twice a second.
        .flush_every_ms(None);
    let mut attempt = 1;
    loop {
        match config.open() {
            Ok(db) => {
                // Damage shows when entries are read.
                super::spool::Size::measure(&db)?;
                return Ok(db);
            }
            Err(error) if is_lock(&error) && attempt < OPEN_ATTEMPTS => {
                attempt += 1;
                thread::sleep(OPEN_PAUSE);
            }
            Err(error) if is_lock(&error) => return Err(StoreError::Held(dir.to_path_buf())),
            Err(error) => return Err(StoreError::Open(dir.to_path_buf(), error)),
        }
    }
}

/// sled says so in words only.
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Moves a damaged store to `<dir>.damaged`, over the one that was there.
fn move_aside(dir: &Path) -> Result<PathBuf, StoreError> {
    let mut name = dir.as_os_str().to_owned();
    name.push(".damaged");
    let aside = PathBuf::from(name);
    let failed = |error| StoreError::MoveAside(dir.to_path_buf(), error);
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(failed)?;
    }
    std::fs::rename(dir, &aside).map_err(failed)?;
    Ok(aside)
}

/// A key: one letter for the kind, then what orders it.
pub(super) fn key(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(kind);
    key.extend_from_slice(rest);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_can_not_be_had_is_opened_once_it_can() {
        let top = tempfile::tempdir().unwrap();
        // Nothing can be made beneath a file, as nothing can on a full disk.
        let state = top.path().join("state");
        std::fs::write(&state, "").unwrap();
        let opened = Kept::open(&state.join("kept")).unwrap();
        assert!(matches!(opened.closed, Some(StoreError::Open(..))), "{opened:?}");
        assert!(opened.kept.flush().is_err());
        assert!(or_nothing(opened.kept.orders()).is_empty());
        std::fs::remove_file(&state).unwrap();
        std::fs::create_dir(&state).unwrap();
        opened.kept.write_json(b"m/x", &7).unwrap();
        assert_eq!(opened.kept.read_json::<u8>(b"m/x").unwrap(), Some(7));
    }

    #[test]
    fn what_stays_wrong_is_moved_aside_and_what_may_pass_is_not() {
        let from = |errno: rustix::io::Errno| sled::Error::Io(io::Error::from(errno));
        assert!(is_damage(&from(rustix::io::Errno::IO)));
        assert!(is_damage(&sled::Error::Unsupported(String::new())));
        for passing in [
            rustix::io::Errno::NOSPC,
            rustix::io::Errno::DQUOT,
            rustix::io::Errno::ACCESS,
        ] {
            assert!(!is_damage(&from(passing)), "{passing}");
        }
    }
}
