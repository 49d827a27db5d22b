//! Summaries in fixed memory.

use super::{fact::MAX_MS, window::Latency};

/// Largest relative error of a quantile.
const ALPHA: f64 = 0.05;
/// Ratio of two neighbouring bucket borders: (1 + ALPHA) / (1 - ALPHA).
const GAMMA: f64 = (1.0 + ALPHA) / (1.0 - ALPHA);
/// Durations below this, in ms, are counted as this.
const FLOOR_MS: f64 = 0.01;
/// Enough buckets from [`FLOOR_MS`] to [`MAX_MS`]: ln(8.64e9) / ln(GAMMA) = 228.6.
const BUCKETS: usize = 230;

/// Durations in buckets of geometrically growing width, so that every quantile is within 5 % of the true one
/// (Masson, Rim, Lee: "`DDSketch`", VLDB 2019). Two kilobytes, whatever is recorded.
#[derive(Debug, Clone)]
pub struct LatencySketch {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    sum: f64,
    max: f64,
}

impl Default for LatencySketch {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            sum: 0.0,
            max: 0.0,
        }
    }
}

impl LatencySketch {
    /// Counts `times` durations of `ms`. What is not a duration (NaN, negative, over a day) is not counted.
    pub fn record(&mut self, ms: f64, times: u64) {
        if !(0.0..=MAX_MS).contains(&ms) {
            return;
        }
        if let Some(bucket) = self.buckets.get_mut(bucket_of(ms)) {
            *bucket = bucket.saturating_add(times);
        }
        self.count = self.count.saturating_add(times);
        #[expect(clippy::cast_precision_loss, reason = "a mean does not need more than 52 bits")]
        let times = times as f64;
        self.sum += ms * times;
        self.max = self.max.max(ms);
    }

    /// The value below which a share `q` of the durations lies, in ms; `None` when there were none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank between 0 and count"
        )]
        let rank = (q.clamp(0.0, 1.0) * (self.count - 1) as f64).floor() as u64;
        let mut seen = 0u64;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen = seen.saturating_add(*bucket);
            if seen > rank {
                return Some(middle_of(index).min(self.max));
            }
        }
        Some(self.max)
    }

    /// The summary for a window; `None` when nothing was recorded.
    pub fn summary(&self) -> Option<Latency> {
        #[expect(clippy::cast_precision_loss, reason = "a mean does not need more than 52 bits")]
        let mean_ms = self.sum / self.count.max(1) as f64;
        Some(Latency {
            count: self.count.min(super::window::MAX_COUNT),
            mean_ms,
            p95_ms: self.quantile(0.95)?,
            max_ms: self.max,
        })
    }
}

fn bucket_of(ms: f64) -> usize {
    if ms <= FLOOR_MS {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0 and below BUCKETS"
    )]
    let index = ((ms / FLOOR_MS).ln() / GAMMA.ln()).ceil() as usize;
    index.min(BUCKETS - 1)
}

/// The value whose relative distance to both borders of a bucket is the same.
fn middle_of(index: usize) -> f64 {
    let power = i32::try_from(index).unwrap_or(i32::MAX);
    FLOOR_MS * GAMMA.powi(power) * 2.0 / (GAMMA + 1.0)
}

const BITS: usize = 2048;

/// How many different members a set had, by linear counting (Whang and others, 1990): 256 bytes, a few percent off up
/// to some thousand members, and never more than about 15,000.
#[derive(Debug, Clone)]
pub struct Distinct(Box<[u64; BITS / 64]>);

impl Default for Distinct {
    fn default() -> Self {
        Self(Box::new([0; BITS / 64]))
    }
}

impl Distinct {
    /// Adds a member.
    pub fn add(&mut self, member: &str) {
        let hash = fnv1a(member.as_bytes());
        let bit = usize::try_from(hash % BITS as u64).unwrap_or(0);
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// The estimate.
    pub fn estimate(&self) -> f64 {
        let set: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        let size = f64::from(u32::try_from(BITS).unwrap_or(u32::MAX));
        let empty = (size - f64::from(set)).max(1.0);
        (-size * (empty / size).ln()).round()
    }
}

/// FNV-1a with a final mix (the low bits of plain FNV are weak for short texts). Not for secrets: whoever chooses the
/// members can only spoil their own count.
fn fnv1a(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| {
        (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed: u64 = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}
