//! Small things that an agent remembers through restarts: the rolling day and how the control plane tuned it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plugmend_shared::{
    audit::checkpoint::Checkpoint,
    detect::PluginState,
    protocol::heartbeat::Tuning,
    telemetry::{Bucket, Rolling, Window},
};

use super::kept::{Kept, StoreError, key};

/// Key of a bucket: this, then its index with the sign flipped, big-endian.
const BUCKET: u8 = b'r';
/// The most buckets that are read back.
const MAX_BUCKETS: usize = 1024;
const TUNING: &[u8] = b"m/tuning";
const AUDIT: &[u8] = b"m/audit";
const ENV: &[u8] = b"m/env";
const DETECTOR: &[u8] = b"m/detector";

impl Kept {
    /// The last 24 hours, as they were kept.
    ///
    /// # Errors
    /// When they can not be read.
    pub fn rolling(&self, now: Timestamp) -> Result<Rolling, StoreError> {
        self.on(|db| {
            let mut buckets = Vec::new();
            for entry in db.scan_prefix([BUCKET]).take(MAX_BUCKETS) {
                let (key, value) = entry?;
                if let (Some(index), Ok(bucket)) = (index_of(&key), serde_json::from_slice::<Bucket>(&value)) {
                    buckets.push((index, bucket));
                }
            }
            Ok(Rolling::restore(buckets, now))
        })
    }

    /// Adds a closed window to the last 24 hours, here and in `rolling`.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn remember(&self, rolling: &mut Rolling, window: &Window, now: Timestamp) -> Result<(), StoreError> {
        let (index, bucket) = rolling.add(window, now);
        self.write_json(&bucket_key(index), &bucket)?;
        let day_and_a_bit = 290;
        self.on(|db| {
            for entry in db.range(bucket_key(i64::MIN)..bucket_key(index - day_and_a_bit)) {
                db.remove(entry?.0)?;
            }
            Ok(())
        })
    }

    /// What the plugin last said it runs on.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn env(&self) -> Result<BTreeMap<String, String>, StoreError> {
        match self.read_json(ENV) {
            Ok(env) => Ok(env.unwrap_or_default()),
            Err(StoreError::Damaged(_)) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Remembers what the plugin says it runs on.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn keep_env(&self, env: &BTreeMap<String, String>) -> Result<(), StoreError> {
        if env.is_empty() || self.env()? == *env {
            return Ok(());
        }
        self.write_json(ENV, env)
    }

    /// What the detector has learnt of the plugin.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn detector(&self) -> Result<PluginState, StoreError> {
        let bytes = self.on(|db| Ok(db.get(DETECTOR)?))?;
        Ok(bytes.map_or_else(PluginState::default, |bytes| PluginState::from_bytes(&bytes)))
    }

    /// Remembers what the detector has learnt.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn keep_detector(&self, state: &PluginState) -> Result<(), StoreError> {
        self.on(|db| {
            db.insert(DETECTOR, state.to_bytes())?;
            Ok(())
        })
    }

    /// How the control plane tuned this agent last.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn tuning(&self) -> Result<Option<Tuning>, StoreError> {
        match self.read_json(TUNING) {
            Err(StoreError::Damaged(_)) => Ok(None),
            other => other,
        }
    }

    /// The newest checkpoint of the control plane's audit trail that was given to this agent.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn audit(&self) -> Result<Option<String>, StoreError> {
        match self.read_json(AUDIT) {
            Err(StoreError::Damaged(_)) => Ok(None),
            other => other,
        }
    }

    /// Keeps a checkpoint as its witness. A smaller one never takes the place of a larger: that is what would have to be
    /// shown.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn witness(&self, note: &str) -> Result<(), StoreError> {
        let size = |note: &str| Checkpoint::read_unverified(note).ok().map(|checkpoint| checkpoint.size);
        let held = self.audit()?;
        if size(note) > held.as_deref().and_then(size) {
            self.write_json(AUDIT, &note)?;
        }
        Ok(())
    }

    /// Remembers how the control plane tunes this agent.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn tune(&self, tuning: &Tuning) -> Result<(), StoreError> {
        self.write_json(TUNING, tuning)
    }
}

fn bucket_key(index: i64) -> Vec<u8> {
    key(BUCKET, &(index.cast_unsigned() ^ (1 << 63)).to_be_bytes())
}

fn index_of(key: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = key.get(1..)?.try_into().ok()?;
    Some((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn the_rolling_day_survives_a_restart_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let mut now = start;
        {
            let kept = Kept::open(dir.path()).unwrap().kept;
            let mut rolling = kept.rolling(now).unwrap();
            for n in 0..600 {
                now = start + SignedDuration::from_mins(5) * n;
                let mut window = Window::empty(1, now, now);
                window.errors = 1;
                kept.remember(&mut rolling, &window, now).unwrap();
            }
            assert!(kept.on(|db| Ok(db.scan_prefix([BUCKET]).count())).unwrap() < 300);
        }
        let kept = Kept::open(dir.path()).unwrap().kept;
        let errors = kept.rolling(now).unwrap().errors_last_24h(now);
        assert!((288..=289).contains(&errors), "{errors}");
    }

    #[test]
    fn a_witness_keeps_the_largest_checkpoint_and_no_rubbish() {
        let note = |size: u64| {
            let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
            format!("log\n{size}\n{root}\ntime 2026-11-22T20:00:00Z\n\n\u{2014} log AAAA\n")
        };
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap().kept;
        for given in [note(5), note(3), "rubbish".to_owned()] {
            kept.witness(&given).unwrap();
            assert_eq!(kept.audit().unwrap(), Some(note(5)));
        }
        kept.witness(&note(6)).unwrap();
        assert_eq!(kept.audit().unwrap(), Some(note(6)));
    }

    #[test]
    fn tuning_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let tuning = Tuning {
            heartbeat_interval_s: 7,
            health: None,
        };
        Kept::open(dir.path()).unwrap().kept.tune(&tuning).unwrap();
        let kept = Kept::open(dir.path()).unwrap().kept;
        assert_eq!(kept.tuning().unwrap(), Some(tuning));
    }
}
