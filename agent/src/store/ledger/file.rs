//! The file on disk: written beside, synced, renamed into place, the folder synced; the one before stays as
//! `ledger.before`. A third of the same size, `ledger.spare`, is written over where the disk has no room: each write then
//! leaves the one before the last as the next spare, so that a way back can be recorded on the disk that a release filled.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    Ledger,
    format::{FormatError, MAX_BYTES, decode, encode},
};

/// Why the ledger can not be read or written. The agent then changes nothing.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It can not be trusted.
    #[error(
        "the ledger {} can not be trusted, so nothing is changed. If {} is sound, copy it over the ledger and start \
         again: what is done from it is checked against what lies on disk; else move both away, and the plugin is \
         adopted anew as it is",
        path.display(), before.display()
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// The one before.
        before: PathBuf,
        /// What is wrong with it.
        #[source]
        source: FormatError,
    },
    /// The file is gone although the one before is there.
    #[error(
        "the ledger {} is gone although {} is there, so nothing is changed. Copy it over the ledger and start again; \
         what is done from it is checked against what lies on disk",
        path.display(), before.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// The one before.
        before: PathBuf,
    },
    /// The disk refused.
    #[error("could not {action} the ledger {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It can not be put into words (a bug).
    #[error("the ledger could not be encoded")]
    Encode(#[source] serde_json::Error),
}

impl LedgerError {
    /// Whether there was no room.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// The ledger's place.
#[derive(Debug, Clone)]
pub struct LedgerFile {
    dir: PathBuf,
}

impl LedgerFile {
    /// The ledger in `dir`, the agent's own folder.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        self.dir.join("ledger")
    }

    fn new_file(&self) -> PathBuf {
        self.dir.join("ledger.new")
    }

    fn spare(&self) -> PathBuf {
        self.dir.join("ledger.spare")
    }

    fn before(&self) -> PathBuf {
        self.dir.join("ledger.before")
    }

    /// Reads it; `None` when this host never had one.
    ///
    /// # Errors
    /// It is there and can not be trusted.
    pub fn read(&self) -> Result<Option<Ledger>, LedgerError> {
        let (path, before) = (self.path(), self.before());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return if before.exists() {
                    Err(LedgerError::Gone { path, before })
                } else {
                    Ok(None)
                };
            }
            Err(e) => return Err(self.io("open", e)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| self.io("read", e))?;
        match decode(&bytes) {
            Ok(ledger) => Ok(Some(ledger)),
            Err(source) => Err(LedgerError::Untrusted { path, before, source }),
        }
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// No room, or the disk failed. What was written before is then still there.
    pub fn write(&self, ledger: &mut Ledger) -> Result<(), LedgerError> {
        let writes = ledger.writes;
        ledger.writes += 1;
        let bytes = encode(ledger).map_err(LedgerError::Encode);
        let written = bytes.and_then(|bytes| match self.replace(&bytes) {
            Err(e) if e.is_no_space() => {
                // Makes room again.
                let _ = fs::remove_file(self.new_file());
                // The error that matters is the first.
                self.replace_from_spare(&bytes).or(Err(e))
            }
            Ok(()) => {
                self.keep_spare(&bytes);
                Ok(())
            }
            other => other,
        });
        if written.is_err() {
            ledger.writes = writes;
            let _ = fs::remove_file(self.new_file());
        }
        written
    }

    fn replace(&self, bytes: &[u8]) -> Result<(), LedgerError> {
        write_synced(&self.new_file(), bytes).map_err(|e| self.io("write", e))?;
        self.keep_before().map_err(|e| self.io("keep the one before of", e))?;
        self.put_in_place()
    }

    /// The same without a new block: the spare is written over, and the one before the last becomes the spare.
    fn replace_from_spare(&self, bytes: &[u8]) -> Result<(), LedgerError> {
        let (spare, before) = (self.spare(), self.before());
        overwrite(&spare, bytes).map_err(|e| self.io("write", e))?;
        crash_point!("ledger.spare_written");
        fs::rename(&spare, self.new_file()).map_err(|e| self.io("write", e))?;
        crash_point!("ledger.spare_taken");
        let kept = fs::rename(&before, &spare).and_then(|()| {
            crash_point!("ledger.before_is_spare");
            fs::hard_link(self.path(), &before)
        });
        kept.map_err(|e| self.io("keep the one before of", e))?;
        self.put_in_place()
    }

    /// Sees to it that there is a spare. Without room for one the next write may find none either, as ever.
    fn keep_spare(&self, bytes: &[u8]) {
        let spare = self.spare();
        let enough = fs::metadata(&spare).is_ok_and(|found| found.len() >= bytes.len() as u64);
        if !enough && let Err(error) = write_synced(&spare, bytes) {
            tracing::debug!(%error, "no room is kept for the ledger");
            let _ = fs::remove_file(&spare);
        }
    }

    fn put_in_place(&self) -> Result<(), LedgerError> {
        let new = self.new_file();
        crash_point!("ledger.before_rename");
        fs::rename(&new, self.path()).map_err(|e| self.io("replace", e))?;
        crash_point!("ledger.after_rename");
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| self.io("sync the folder of", e))
    }

    /// Gives the present file a second name, so that at no instant neither is there.
    fn keep_before(&self) -> io::Result<()> {
        let (temp, before) = (self.dir.join("ledger.before.new"), self.before());
        remove_if_there(&temp)?;
        match fs::hard_link(self.path(), &temp) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        fault_point!("ledger.keep_before")?;
        fs::rename(temp, before)
    }

    fn io(&self, action: &'static str, source: io::Error) -> LedgerError {
        LedgerError::Io {
            action,
            path: self.path(),
            source,
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    remove_if_there(path)?;
    fault_point!("ledger.create")?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    fault_point!("ledger.write")?;
    file.write_all(bytes)?;
    crash_point!("ledger.before_fsync");
    file.sync_all()
}

/// Writes over a file that is as long already: blocks that are there are used again.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() < bytes.len() as u64 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ledger::format::tests::ledger;

    #[test]
    fn two_generations_are_kept() {
        let top = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(top.path());
        assert!(file.read().unwrap().is_none());
        let mut now = ledger();
        file.write(&mut now).unwrap();
        now.next_tree = 9;
        file.write(&mut now).unwrap();
        assert_eq!(file.read().unwrap().unwrap(), now);
        let before = decode(&fs::read(file.before()).unwrap()).unwrap();
        assert_eq!((before.writes, before.next_tree), (8, 1));
    }

    #[test]
    fn without_room_the_spare_is_used_as_often_as_need_be() {
        let top = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(top.path());
        let mut now = ledger();
        file.write(&mut now).unwrap();
        file.write(&mut now).unwrap();
        let size = fs::metadata(file.spare()).unwrap().len();
        for n in 100..110 {
            now.next_tree = n;
            now.writes += 1;
            file.replace_from_spare(&encode(&now).unwrap()).unwrap();
            assert_eq!(file.read().unwrap().unwrap(), now);
            assert_eq!(
                decode(&fs::read(file.before()).unwrap()).unwrap().writes,
                now.writes - 1
            );
            assert_eq!(fs::metadata(file.spare()).unwrap().len(), size);
            assert!(!file.new_file().exists());
        }
        file.write(&mut now).unwrap();
        assert_eq!(file.read().unwrap().unwrap(), now);
    }

    #[test]
    fn a_damaged_ledger_stops_the_agent_and_says_what_to_do() {
        let top = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(top.path());
        file.write(&mut ledger()).unwrap();
        fs::write(file.path(), "plugmend-ledger 1 3 00\nabc").unwrap();
        let error = file.read().unwrap_err();
        assert!(matches!(error, LedgerError::Untrusted { .. }));
        assert!(error.to_string().contains("ledger.before"), "{error}");
    }

    #[test]
    fn a_lost_ledger_is_not_taken_for_a_new_host() {
        let top = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(top.path());
        file.write(&mut ledger()).unwrap();
        file.write(&mut ledger()).unwrap();
        fs::remove_file(file.path()).unwrap();
        assert!(matches!(file.read(), Err(LedgerError::Gone { .. })));
    }
}
