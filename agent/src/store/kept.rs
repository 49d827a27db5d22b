//! What may be lost in a power cut without harm, in sled: spooled windows, the rolling day, unsent results, tuning.
//!
//! sled's flush does not reach the disk's cache, so nothing that the swap rests on is here (that is the ledger), and
//! numbers that may never repeat are floored by [`super::sequence`].

use std::{
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
    MoveAside(PathBuf, #[source] std::io::Error),
    /// sled could not read or write.
    #[error("the agent's store can not be read or written; is the disk full?")]
    Sled(#[from] sled::Error),
    /// A value does not have the shape it was written with.
    #[error("an entry of the agent's store is damaged; it was left out")]
    Damaged(#[source] serde_json::Error),
    /// The file of [`super::sequence`] could not be read or written.
    #[error("the file {0} can not be read or written; is the disk full?")]
    Sequence(PathBuf, #[source] std::io::Error),
}

/// The store. All of it lives in one tree: each tree costs pages, and this runs beside shops on small hosts.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
    /// `None` after an input or output error: sled repeats its first one for ever, so it is opened anew.
    db: Mutex<Option<sled::Db>>,
    pub(super) spool: Mutex<super::spool::Size>,
}

/// An opened store, and whether it had to be made anew.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub kept: Kept,
    /// Where the damaged one was moved, when it was.
    pub moved_aside: Option<PathBuf>,
}

impl Kept {
    /// Opens the store in `dir`, or makes it. A damaged one is moved aside (the last is kept) and made anew: everything
    /// in it can be lost without harm, and an agent that does not start can not.
    ///
    /// # Errors
    /// When it is locked by another process for longer than a restart takes, or can not be made.
    pub fn open(dir: &Path) -> Result<Opened, StoreError> {
        let (db, moved_aside) = open_or_renew(dir)?;
        let spool = Mutex::new(super::spool::Size::measure(&db)?);
        let kept = Self {
            dir: dir.to_path_buf(),
            db: Mutex::new(Some(db)),
            spool,
        };
        Ok(Opened { kept, moved_aside })
    }

    /// Lets `act` read and write. After an input or output error (a full disk, say) the next call opens the store
    /// anew: what had reached the disk is there again, and with room on the disk everything works as before.
    ///
    /// # Errors
    /// Those of `act`, or that the store can not be opened again yet.
    pub(super) fn on<T>(&self, act: impl FnOnce(&sled::Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let db = {
            let mut slot = self.slot();
            match &*slot {
                Some(db) => db.clone(),
                None => slot.insert(open_or_renew(&self.dir)?.0).clone(),
            }
        };
        let done = act(&db);
        if matches!(&done, Err(StoreError::Sled(sled::Error::Io(_)))) {
            *self.slot() = None;
        }
        done
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

/// Opens the database in `dir`; a damaged one is moved aside and made anew.
fn open_or_renew(dir: &Path) -> Result<(sled::Db, Option<PathBuf>), StoreError> {
    match try_open(dir) {
        Ok(db) => Ok((db, None)),
        Err(StoreError::Open(_, sled::Error::Corruption { .. }) | StoreError::Sled(sled::Error::Corruption { .. })) => {
            let aside = move_aside(dir)?;
            Ok((try_open(dir)?, Some(aside)))
        }
        Err(error) => Err(error),
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
