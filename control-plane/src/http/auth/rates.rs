//! How much one person may ask: reads and writes are counted apart, so that a page that asks too much stops nobody from
//! throwing the kill switch.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DashMapStateStore,
};

/// Reads of one person a second, on average.
const READS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
/// Writes of one person a second, on average.
const WRITES: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// How many seconds' worth may come at once.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// After so many requests, people of whom nothing was heard lately are forgotten.
const TIDY_EVERY: u32 = 4096;

type Limiter = RateLimiter<String, DashMapStateStore<String>, DefaultClock>;

/// Counts requests by person.
pub struct CallerRates {
    reads: Limiter,
    writes: Limiter,
    counted: AtomicU32,
}

impl Default for CallerRates {
    fn default() -> Self {
        let quota =
            |per_second: NonZeroU32| Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST));
        Self::new(quota(READS), quota(WRITES))
    }
}

impl CallerRates {
    /// With quotas of one's own.
    pub fn new(reads: Quota, writes: Quota) -> Self {
        Self {
            reads: RateLimiter::dashmap(reads),
            writes: RateLimiter::dashmap(writes),
            counted: AtomicU32::new(0),
        }
    }

    /// Counts a request of somebody whose token was found good.
    ///
    /// # Errors
    /// How long to wait, when it is one too many.
    pub fn count(&self, subject: &str, is_write: bool) -> Result<(), Duration> {
        let limiter = if is_write { &self.writes } else { &self.reads };
        if self.counted.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.reads.retain_recent();
            self.writes.retain_recent();
        }
        let counted = limiter.check_key(&subject.to_owned());
        counted.map_err(|wait| wait.wait_time_from(DefaultClock::default().now()))
    }
}
