//! The file on disk: written beside, synced, renamed into place, the folder synced; the one before stays as
//! `ledger.before`.

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
        let written = self.replace(ledger);
        if written.is_err() {
            ledger.writes = writes;
            // Makes room again; the error that matters is the first.
            let _ = fs::remove_file(self.dir.join("ledger.new"));
        }
        written
    }

    fn replace(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let new = self.dir.join("ledger.new");
        let bytes = encode(ledger).map_err(LedgerError::Encode)?;
        write_synced(&new, &bytes).map_err(|e| self.io("write", e))?;
        self.keep_before().map_err(|e| self.io("keep the one before of", e))?;
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
