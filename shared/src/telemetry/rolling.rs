//! The last 24 hours, from windows: what the heartbeat's `errors_last_24h` and `webhook_fail_rate` say.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::window::Window;

/// Length of a bucket, in seconds.
const BUCKET_S: i64 = 300;
/// Buckets in 24 hours, and one that is being left.
const MAX_BUCKETS: usize = 24 * 12 + 1;

/// Sums over five minutes of wall-clock time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Requests served.
    #[serde(default)]
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// Webhook deliveries tried.
    pub webhook_total: u64,
    /// Webhook deliveries failed.
    pub webhook_failed: u64,
}

/// Sums of the last day in five-minute buckets: 7 kB at most. A clock that jumps loses nothing that comes back into
/// the last 24 hours of the new time.
#[derive(Debug, Clone, Default)]
pub struct Rolling(BTreeMap<i64, Bucket>);

impl Rolling {
    /// The state as it was kept, bucket by bucket; what lies outside of 24 hours is left out.
    pub fn restore(buckets: impl IntoIterator<Item = (i64, Bucket)>, now: Timestamp) -> Self {
        let mut rolling = Self::default();
        let (oldest, newest) = range(now, SignedDuration::from_hours(24));
        for (index, bucket) in buckets
            .into_iter()
            .filter(|(index, _)| (oldest..=newest).contains(index))
        {
            rolling.0.insert(index, bucket);
        }
        rolling.prune(now);
        rolling
    }

    /// Adds a closed window, under the time it ended. Gives the bucket to keep.
    pub fn add(&mut self, window: &Window, now: Timestamp) -> (i64, Bucket) {
        let index = index_of(window.to);
        let bucket = self.0.entry(index).or_default();
        bucket.requests = bucket.requests.saturating_add(window.requests);
        bucket.errors = bucket.errors.saturating_add(window.errors);
        bucket.webhook_total = bucket.webhook_total.saturating_add(window.webhook_total);
        bucket.webhook_failed = bucket.webhook_failed.saturating_add(window.webhook_failed);
        let kept = (index, *bucket);
        self.prune(now);
        kept
    }

    /// Errors in the last 24 hours.
    pub fn errors_last_24h(&self, now: Timestamp) -> u64 {
        self.within(now, SignedDuration::from_hours(24))
            .fold(0, |sum, bucket| sum.saturating_add(bucket.errors))
    }

    /// Sums of the last hour.
    pub fn last_hour(&self, now: Timestamp) -> Bucket {
        self.within(now, SignedDuration::from_hours(1))
            .fold(Bucket::default(), |sum, bucket| Bucket {
                requests: sum.requests.saturating_add(bucket.requests),
                errors: sum.errors.saturating_add(bucket.errors),
                webhook_total: sum.webhook_total.saturating_add(bucket.webhook_total),
                webhook_failed: sum.webhook_failed.saturating_add(bucket.webhook_failed),
            })
    }

    /// Share of webhook deliveries that failed in the last hour, 0 to 1; `None` when there were none.
    pub fn webhook_fail_rate(&self, now: Timestamp) -> Option<f64> {
        let hour = self.last_hour(now);
        #[expect(clippy::cast_precision_loss, reason = "a share does not need more than 52 bits")]
        (hour.webhook_total > 0).then(|| (hour.webhook_failed as f64 / hour.webhook_total as f64).min(1.0))
    }

    fn within(&self, now: Timestamp, span: SignedDuration) -> impl Iterator<Item = &Bucket> {
        let (oldest, newest) = range(now, span);
        self.0.range(oldest..=newest).map(|(_, bucket)| bucket)
    }

    /// Forgets what is too old, and keeps the map bounded when a clock jumps about.
    fn prune(&mut self, now: Timestamp) {
        let (oldest, _) = range(now, SignedDuration::from_hours(24));
        self.0 = self.0.split_off(&oldest);
        while self.0.len() > MAX_BUCKETS {
            self.0.pop_last();
        }
    }
}

fn index_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(BUCKET_S)
}

/// The buckets that lie wholly or partly within `span` before `now`.
fn range(now: Timestamp, span: SignedDuration) -> (i64, i64) {
    let newest = index_of(now);
    (newest - span.as_secs() / BUCKET_S, newest)
}
