//! Numbers that never repeat and never go back: of windows and of heartbeats. The control plane takes a number that it
//! has seen for a repeat, so going back would lose windows in silence.
//!
//! sled keeps the last number used, which is enough unless it lost it: with its file (damage), or with a power cut. So
//! a small fsynced file keeps a ceiling that is above all numbers ever used; it is raised a block at a time, before the
//! block is used. After a reboot of the machine, or without sled's number, counting goes on from the ceiling; when that
//! is lost as well (a new host for the same plugin), from the milliseconds since 1970, which is above every number that
//! an agent with less than a window a millisecond can have reached.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kept::{Kept, StoreError, or_nothing};

/// How many numbers are reserved at once.
const BLOCK: u64 = 4096;
const LAST: &[u8] = b"m/last-number";

/// What is numbered. Each counts for itself, so that a gap means something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Windows.
    Window,
    /// Heartbeats.
    Heartbeat,
}

/// Gives numbers.
#[derive(Debug)]
pub struct Sequence {
    file: PathBuf,
    machine: String,
    last: Last,
    ceiling: u64,
}

/// The file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reserved {
    ceiling: u64,
}

/// What sled keeps: the last numbers, and in which life of the machine they were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Last {
    window: u64,
    heartbeat: u64,
    machine: String,
}

impl Sequence {
    /// Takes up counting. `machine` is anything that changes when the machine reboots. What can not be read counts as
    /// lost.
    pub fn open(dir: &Path, kept: &Kept, machine: String, now: Timestamp) -> Self {
        let file = dir.join("sequence.json");
        let reserved = or_nothing(read(&file).map_err(|error| StoreError::Sequence(file.clone(), error)));
        let kept_last = or_nothing(kept.read_json::<Last>(LAST));
        let ceiling = reserved.map_or(0, |reserved| reserved.ceiling);
        let (mut window, heartbeat) = match kept_last {
            Some(last) if last.machine == machine && last.window.max(last.heartbeat) <= ceiling => {
                (last.window, last.heartbeat)
            }
            kept_last => {
                let floor = match reserved {
                    // sled was behind by less than a block.
                    Some(reserved) if kept_last.is_some() => reserved.ceiling,
                    _ => ceiling.max(u64::try_from(now.as_millisecond()).unwrap_or(0)),
                };
                let used = kept_last.map_or(0, |last| last.window.max(last.heartbeat));
                (floor.max(used), floor.max(used))
            }
        };
        window = window.max(kept.spool_size().newest);
        let last = Last {
            window,
            heartbeat,
            machine: machine.clone(),
        };
        Self {
            file,
            machine,
            last,
            ceiling,
        }
    }

    /// The next number. It is on disk before it is given.
    ///
    /// # Errors
    /// When it can not be written: then no number is given.
    pub fn next(&mut self, what: Counted, kept: &Kept) -> Result<u64, StoreError> {
        let mut last = self.last.clone();
        let number = match what {
            Counted::Window => &mut last.window,
            Counted::Heartbeat => &mut last.heartbeat,
        };
        *number = number.saturating_add(1);
        let number = *number;
        if number > self.ceiling {
            let ceiling = number.saturating_add(BLOCK);
            write(&self.file, Reserved { ceiling }).map_err(|error| StoreError::Sequence(self.file.clone(), error))?;
            self.ceiling = ceiling;
        }
        last.machine.clone_from(&self.machine);
        kept.write_json(LAST, &last)?;
        self.last = last;
        Ok(number)
    }
}

fn read(file: &Path) -> io::Result<Option<Reserved>> {
    match fs::read(file) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Temp file, sync, rename, sync of the directory.
fn write(file: &Path, reserved: Reserved) -> io::Result<()> {
    let temp = file.with_extension("json.new");
    let mut out = File::create(&temp)?;
    out.write_all(&serde_json::to_vec(&reserved)?)?;
    out.sync_all()?;
    fs::rename(&temp, file)?;
    file.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn next(dir: &Path, machine: &str, now: i64, count: u64) -> u64 {
        let kept = Kept::open(&dir.join("kept")).unwrap().kept;
        let now = Timestamp::from_second(now).unwrap();
        let mut sequence = Sequence::open(dir, &kept, machine.to_owned(), now);
        sequence.next(Counted::Heartbeat, &kept).unwrap();
        (0..count)
            .map(|_| sequence.next(Counted::Window, &kept).unwrap())
            .last()
            .unwrap()
    }

    #[test]
    fn numbers_grow_by_one_through_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let first = next(dir.path(), "boot", NOW, 1);
        assert_eq!(next(dir.path(), "boot", NOW - 86_400, 1), first + 1);
        assert_eq!(next(dir.path(), "boot", NOW + 86_400, 2), first + 3);
    }

    #[test]
    fn numbers_grow_also_when_the_store_is_lost_and_the_clock_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let before = next(dir.path(), "boot", NOW, 10_000);
        fs::remove_dir_all(dir.path().join("kept")).unwrap();
        assert!(next(dir.path(), "boot", NOW - 86_400, 1) > before);
    }

    #[test]
    fn numbers_grow_also_when_a_power_cut_took_the_last_ones() {
        let dir = tempfile::tempdir().unwrap();
        let before = next(dir.path(), "boot", NOW, 10);
        let backup = tempfile::tempdir().unwrap();
        copy(&dir.path().join("kept"), backup.path());
        let latest = next(dir.path(), "boot", NOW, 50);
        assert!(latest > before);
        fs::remove_dir_all(dir.path().join("kept")).unwrap();
        fs::rename(backup.path(), dir.path().join("kept")).unwrap();
        assert!(next(dir.path(), "next boot", NOW - 5, 1) > latest);
    }

    #[test]
    fn numbers_grow_also_on_a_new_host() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let before = next(old.path(), "boot", NOW, 500);
        assert!(next(new.path(), "boot", NOW + 60, 1) > before);
    }

    #[test]
    fn a_file_without_sense_counts_as_lost() {
        let dir = tempfile::tempdir().unwrap();
        let before = next(dir.path(), "boot", NOW, 5);
        fs::write(dir.path().join("sequence.json"), "{").unwrap();
        assert!(next(dir.path(), "boot", NOW, 1) > before);
    }

    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}
