//! Closed windows that the control plane has not confirmed, oldest first.

use std::sync::{MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::telemetry::Window;

use super::kept::{Kept, StoreError, key};

/// Windows older than this are dropped.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(72);
/// The spool's largest size, in bytes of content.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Key of a window: this, then its sequence number, big-endian.
const KIND: u8 = b's';
const DROPPED: &[u8] = b"m/spool-dropped";

/// What is in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// How many windows.
    pub windows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The highest number of a window that was ever in it, as far as is known; 0 before the first.
    pub newest: u64,
}

impl Size {
    /// Forwards only: sled's way back brings a mebibyte of constants into the program.
    pub(super) fn measure(db: &sled::Db) -> Result<Self, StoreError> {
        let mut size = Self::default();
        for entry in db.scan_prefix([KIND]) {
            let (key, value) = entry?;
            let seq = key.get(1..).and_then(|seq| seq.try_into().ok()).map(u64::from_be_bytes);
            size.newest = size.newest.max(seq.unwrap_or(0));
            size.windows += 1;
            size.bytes += value.len() as u64;
        }
        Ok(size)
    }

    fn less(&mut self, bytes: usize) {
        self.windows = self.windows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

impl Kept {
    /// Keeps a closed window. What then is too old or too much is dropped, oldest first, and counted.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn spool(&self, window: &Window, now: Timestamp) -> Result<(), StoreError> {
        self.spool_within(window, now, MAX_BYTES)
    }

    fn spool_within(&self, window: &Window, now: Timestamp, max_bytes: u64) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(window).map_err(StoreError::Damaged)?;
        let length = bytes.len() as u64;
        self.on(|_| {
            drop(self.size());
            Ok(())
        })?;
        let replaced = self.on(|db| Ok(db.insert(window_key(window.seq), bytes)?))?;
        let mut size = self.size();
        if let Some(old) = replaced {
            size.less(old.len());
        }
        size.windows += 1;
        size.bytes += length;
        size.newest = size.newest.max(window.seq);
        self.drop_oldest(&mut size, now, max_bytes)
    }

    fn drop_oldest(&self, size: &mut Size, now: Timestamp, max_bytes: u64) -> Result<(), StoreError> {
        let dropped = self.on(|db| {
            let mut dropped = 0;
            for entry in db.scan_prefix([KIND]) {
                let (key, value) = entry?;
                let read = serde_json::from_slice::<Window>(&value);
                let too_old = read.map_or(true, |window| now.duration_since(window.to) > MAX_AGE);
                if size.bytes <= max_bytes && !too_old {
                    break;
                }
                db.remove(&key)?;
                size.less(value.len());
                dropped += 1;
            }
            Ok(dropped)
        })?;
        self.count_dropped(dropped)
    }

    fn count_dropped(&self, more: u64) -> Result<(), StoreError> {
        if more == 0 {
            return Ok(());
        }
        let total = self.spool_dropped()?.saturating_add(more);
        self.write_json(DROPPED, &total)
    }

    /// The oldest windows: at most `max` of them and `max_bytes` (but at least one, when there is one).
    ///
    /// # Errors
    /// When they can not be read.
    pub fn oldest(&self, max: usize, max_bytes: usize) -> Result<Vec<Window>, StoreError> {
        self.on(|db| {
            let mut windows = Vec::new();
            let mut bytes = 0;
            for entry in db.scan_prefix([KIND]).take(max) {
                let (key, value) = entry?;
                bytes += value.len();
                if bytes > max_bytes && !windows.is_empty() {
                    break;
                }
                if let Ok(window) = serde_json::from_slice(&value) {
                    windows.push(window);
                } else {
                    // A damaged entry must not stand in the way of those behind it.
                    db.remove(&key)?;
                    self.size().less(value.len());
                    self.count_dropped(1)?;
                }
            }
            Ok(windows)
        })
    }

    /// Forgets windows up to and with `seq`: the control plane has them.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn confirmed(&self, seq: u64) -> Result<(), StoreError> {
        self.forget_up_to(seq).map(|_| ())
    }

    /// Drops windows up to and with `seq` that the control plane refused, and counts them.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn refused(&self, seq: u64) -> Result<(), StoreError> {
        let dropped = self.forget_up_to(seq)?;
        self.count_dropped(dropped)
    }

    fn forget_up_to(&self, seq: u64) -> Result<u64, StoreError> {
        self.on(|_| Ok(()))?;
        let mut size = self.size();
        self.on(|db| {
            let mut forgotten = 0;
            for entry in db.range(window_key(0)..=window_key(seq)) {
                let (key, value) = entry?;
                db.remove(&key)?;
                size.less(value.len());
                forgotten += 1;
            }
            Ok(forgotten)
        })
    }

    /// What is in the spool now.
    pub fn spool_size(&self) -> Size {
        *self.size()
    }

    /// How many windows were dropped from a full spool, ever.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn spool_dropped(&self) -> Result<u64, StoreError> {
        Ok(self.read_json(DROPPED)?.unwrap_or(0))
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        let mut size = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(measured) = self.measured.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let newest = size.newest.max(measured.newest);
            *size = Size { newest, ..measured };
        }
        size
    }
}

fn window_key(seq: u64) -> Vec<u8> {
    key(KIND, &seq.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn window(seq: u64, to: i64) -> Window {
        Window::empty(seq, at(to - 120), at(to))
    }

    fn opened() -> (tempfile::TempDir, Kept) {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(&dir.path().join("kept")).unwrap().kept;
        (dir, kept)
    }

    #[test]
    fn windows_come_back_oldest_first_and_in_batches() {
        let (_dir, kept) = opened();
        for seq in [300, 2, 1, 256, 255] {
            kept.spool(&window(seq, NOW), at(NOW)).unwrap();
        }
        let seqs = |windows: Vec<Window>| windows.iter().map(|w| w.seq).collect::<Vec<_>>();
        assert_eq!(seqs(kept.oldest(3, usize::MAX).unwrap()), [1, 2, 255]);
        assert_eq!(seqs(kept.oldest(10, 1).unwrap()), [1]);
        kept.confirmed(255).unwrap();
        assert_eq!(seqs(kept.oldest(10, usize::MAX).unwrap()), [256, 300]);
        assert_eq!(kept.spool_size().windows, 2);
        assert_eq!(kept.spool_dropped().unwrap(), 0);
    }

    #[test]
    fn a_spool_survives_a_restart() {
        let (dir, kept) = opened();
        kept.spool(&window(9, NOW), at(NOW)).unwrap();
        let size = kept.spool_size();
        drop(kept);
        let kept = Kept::open(&dir.path().join("kept")).unwrap().kept;
        assert_eq!(kept.spool_size(), size);
        assert_eq!(kept.oldest(10, usize::MAX).unwrap(), [window(9, NOW)]);
    }

    #[test]
    fn what_a_failing_disk_lost_is_counted_no_more() {
        let (dir, kept) = opened();
        kept.spool(&window(1, NOW), at(NOW)).unwrap();
        kept.flush().unwrap();
        let one = kept.spool_size();
        kept.spool.lock().unwrap().windows += 7;
        kept.close();
        kept.flush().unwrap();
        assert_eq!(kept.spool_size(), one, "the store was opened again, and is measured");
        kept.close();
        kept.spool(&window(2, NOW), at(NOW)).unwrap();
        assert_eq!(kept.spool_size().windows, 2);
        kept.close();
        kept.confirmed(2).unwrap();
        assert_eq!(kept.spool_size().windows, 0);
        drop(dir);
    }

    #[test]
    fn too_much_and_too_old_is_dropped_oldest_first_and_counted() {
        let (_dir, kept) = opened();
        kept.spool(&window(1, NOW - 73 * 3600), at(NOW - 73 * 3600)).unwrap();
        kept.spool(&window(2, NOW), at(NOW)).unwrap();
        assert_eq!(kept.spool_dropped().unwrap(), 1);
        let one = kept.spool_size().bytes;
        for seq in 3..10 {
            kept.spool_within(&window(seq, NOW), at(NOW), one * 4).unwrap();
        }
        let left: Vec<_> = kept.oldest(10, usize::MAX).unwrap().iter().map(|w| w.seq).collect();
        assert_eq!(left, [6, 7, 8, 9]);
        assert_eq!(kept.spool_dropped().unwrap(), 5);
    }

    #[test]
    fn a_damaged_window_does_not_stand_in_the_way() {
        let (_dir, kept) = opened();
        kept.on(|db| Ok(db.insert(window_key(1), b"{")?)).unwrap();
        kept.spool.lock().unwrap().windows += 1;
        kept.spool(&window(2, NOW), at(NOW)).unwrap();
        assert_eq!(kept.oldest(10, usize::MAX).unwrap().len(), 1);
        assert_eq!(kept.spool_dropped().unwrap(), 1);
    }

    #[test]
    fn a_damaged_store_is_moved_aside_and_made_anew() {
        let (dir, kept) = opened();
        for seq in 0..200 {
            kept.spool(&window(seq, NOW), at(NOW)).unwrap();
        }
        kept.flush().unwrap();
        drop(kept);
        let path = dir.path().join("kept");
        std::fs::write(path.join("conf"), b"nonsense that no version ever wrote").unwrap();
        let opened = Kept::open(&path).unwrap();
        assert!(opened.moved_aside.unwrap().join("conf").exists());
        assert_eq!(opened.kept.spool_size(), Size::default());
    }
}
