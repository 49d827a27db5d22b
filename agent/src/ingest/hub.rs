//! Where everything that the plugin says comes together.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::telemetry::{Bucket, Counters, Fact, Window, event, statsd};

use crate::domain::trial::{LiveCounters, RequestCounts};

/// The most names of the environment that are remembered.
const MAX_ENV: usize = 16;
/// The most hours back for which late events are counted under their own time.
const MAX_LATE_HOURS: usize = 24;
/// The most troubles that are remembered, one for each way in.
const MAX_TROUBLES: usize = 8;
/// An event that says a time before this is not counted, in hours before now.
const ANCIENT: SignedDuration = SignedDuration::from_hours(72);
const HOUR_S: i64 = 3600;

/// How something came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A socket or directory that only the plugin's users can write: what it says about versions is believed.
    Plugin,
    /// UDP: any user of the host can write there, so it counts but proves nothing.
    Anyone,
}

/// What the plugin said about itself.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Its version.
    pub version: Option<String>,
    /// What it runs on.
    pub env: BTreeMap<String, String>,
    /// The words of its last error. They stay on this host.
    pub last_error: Option<String>,
    /// What is wrong with a way in, by its name.
    pub troubles: BTreeMap<&'static str, String>,
}

/// The live counters. Shared by all ways in; the lock is held for one datagram or line at a time.
#[derive(Debug)]
pub struct Hub {
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: Counters,
    opened: Duration,
    late: BTreeMap<i64, Counters>,
    counts: RequestCounts,
    /// When the plugin last said anything, since the agent's start.
    heard_at: Option<Duration>,
    /// What was counted when the open window was opened.
    counts_at_open: RequestCounts,
    /// Closed windows of the last hour, those of before a restart included.
    last_hour: Bucket,
    heard: Heard,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            inner: Mutex::default(),
        }
    }
}

impl Hub {
    /// A hub that knows what the plugin said of its environment in an earlier life of the agent.
    pub fn with_env(env: BTreeMap<String, String>) -> Self {
        let hub = Self::default();
        hub.inner().heard.env = env;
        hub
    }

    /// Time since the agent's start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts a datagram, at most `budget` lines of it. Gives how many lines were looked at.
    pub fn datagram(&self, bytes: &[u8], budget: u64, source: Source) -> u64 {
        let now = self.elapsed();
        let mut inner = self.inner();
        let tally = {
            let Inner {
                open, counts, heard, ..
            } = &mut *inner;
            statsd::parse_datagram(bytes, budget, &mut |fact| {
                open.record(&fact);
                note(&fact, source, counts, heard);
            })
        };
        inner.open.add_refused(tally.refused);
        inner.open.add_dropped(tally.dropped);
        if tally.taken > 0 {
            inner.heard_at(now);
        }
        tally.taken + tally.refused
    }

    /// Counts a JSON event that happens now, over a socket.
    pub fn event(&self, line: &[u8]) {
        let now = self.elapsed();
        let mut inner = self.inner();
        let result = {
            let Inner {
                open, counts, heard, ..
            } = &mut *inner;
            event::parse_line(line, &mut |fact| {
                open.record(&fact);
                note(&fact, Source::Plugin, counts, heard);
            })
        };
        match result {
            Ok(_) => inner.heard_at(now),
            Err(_) => inner.open.add_refused(1),
        }
    }

    /// Counts a JSON event of a spool file. One that happened before this window opened is counted under its own time,
    /// by the hour; one without a time, or from the future, now; one older than three days not at all.
    pub fn spooled_event(&self, line: &[u8], wall: Timestamp) {
        let elapsed = self.elapsed();
        let mut inner = self.inner();
        let open_for = SignedDuration::try_from(elapsed.saturating_sub(inner.opened)).unwrap_or(SignedDuration::ZERO);
        let opened = wall.checked_sub(open_for).unwrap_or(wall);
        match event::time_of(line).filter(|at| *at < opened) {
            Some(at) if wall.duration_since(at) > ANCIENT => inner.open.add_dropped(1),
            Some(at) => inner.late_event(line, at),
            None => {
                drop(inner);
                self.event(line);
            }
        }
    }

    /// Counts what was not looked at.
    pub fn dropped(&self, count: u64) {
        self.inner().open.add_dropped(count);
    }

    /// Counts what was not in the notation.
    pub fn refused(&self, count: u64) {
        self.inner().open.add_refused(count);
    }

    /// Remembers what is wrong with a way in, or that nothing is any more.
    pub fn trouble(&self, way: &'static str, what: Option<String>) {
        let mut inner = self.inner();
        let troubles = &mut inner.heard.troubles;
        match what {
            Some(what) if troubles.len() < MAX_TROUBLES || troubles.contains_key(way) => {
                troubles.insert(way, what);
            }
            _ => {
                troubles.remove(way);
            }
        }
    }

    /// Another version was installed: what the plugin said before is no word about the code that runs now. Its next
    /// word is.
    pub fn installed(&self, version: &str) {
        let mut inner = self.inner();
        if inner.heard.version.as_deref().is_some_and(|heard| heard != version) {
            inner.heard.version = None;
            inner.counts.version_seen = None;
        }
    }

    /// Whether there are events from before the open window.
    pub fn has_late(&self) -> bool {
        !self.inner().late.is_empty()
    }

    /// Closes the oldest hour of late events; `None` when there are none. The hour that is not over at `wall` ends where
    /// the open window begins: sums of the last day know no window of the future.
    pub fn close_late(&self, seq: u64, wall: Timestamp) -> Option<Window> {
        let now = self.elapsed();
        let mut inner = self.inner();
        let (hour, mut counters) = inner.late.pop_first()?;
        let from = Timestamp::from_second(hour * HOUR_S).ok()?;
        let to = from.checked_add(SignedDuration::from_secs(HOUR_S)).ok()?;
        let open_for = SignedDuration::try_from(now.saturating_sub(inner.opened)).unwrap_or(SignedDuration::ZERO);
        let opened = wall.checked_sub(open_for).unwrap_or(wall);
        Some(counters.close(seq, from, to.min(opened).max(from)))
    }

    /// Closes the open window at `wall` and opens the next. Its length is measured by the monotonic clock, so that a
    /// wall clock that was set meanwhile bends nothing.
    pub fn close(&self, seq: u64, wall: Timestamp) -> Window {
        let now = self.elapsed();
        let mut inner = self.inner();
        let length = now.saturating_sub(inner.opened).min(Duration::from_hours(24));
        inner.opened = now;
        inner.counts_at_open = inner.counts.clone();
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::ZERO);
        let from = wall.checked_sub(length).unwrap_or(wall);
        inner.open.close(seq, from, wall)
    }

    /// Remembers what the closed windows of the last hour add up to.
    pub fn set_last_hour(&self, sums: Bucket) {
        self.inner().last_hour = sums;
    }

    /// What the plugin said about itself.
    pub fn heard(&self) -> Heard {
        self.inner().heard.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveCounters for Hub {
    fn counts(&self) -> RequestCounts {
        let now = self.elapsed();
        self.inner().counts_at(now)
    }

    fn recent(&self) -> RequestCounts {
        let now = self.elapsed();
        let inner = self.inner();
        let (live, open, hour) = (inner.counts_at(now), &inner.counts_at_open, inner.last_hour);
        let since = |closed: u64, live: u64, open: u64| closed.saturating_add(live.saturating_sub(open));
        RequestCounts {
            requests: since(hour.requests, live.requests, open.requests),
            errors: since(hour.errors, live.errors, open.errors),
            webhook_total: since(hour.webhook_total, live.webhook_total, open.webhook_total),
            webhook_failed: since(hour.webhook_failed, live.webhook_failed, open.webhook_failed),
            ..live
        }
    }
}

impl Inner {
    fn counts_at(&self, now: Duration) -> RequestCounts {
        RequestCounts {
            silent_for: self.heard_at.map(|at| now.saturating_sub(at)),
            ..self.counts.clone()
        }
    }

    fn heard_at(&mut self, now: Duration) {
        self.heard_at = Some(now);
    }

    fn late_event(&mut self, line: &[u8], at: Timestamp) {
        let hour = at.as_second().div_euclid(HOUR_S);
        if !self.late.contains_key(&hour) && self.late.len() >= MAX_LATE_HOURS {
            self.open.add_dropped(1);
            return;
        }
        let counters = self.late.entry(hour).or_default();
        if event::parse_line(line, &mut |fact| counters.record(&fact)).is_err() {
            counters.add_refused(1);
        }
    }
}

/// What a fact says beside counts of the window.
fn note(fact: &Fact<'_>, source: Source, counts: &mut RequestCounts, heard: &mut Heard) {
    match *fact {
        Fact::Requests { served, failed } => {
            counts.requests = counts.requests.saturating_add(served);
            counts.errors = counts.errors.saturating_add(failed);
        }
        Fact::Errors(count) => counts.errors = counts.errors.saturating_add(count),
        Fact::Webhooks { tried, failed } => {
            counts.webhook_total = counts.webhook_total.saturating_add(tried);
            counts.webhook_failed = counts.webhook_failed.saturating_add(failed);
        }
        Fact::Version(version) if source == Source::Plugin && counts.version_seen.as_deref() != Some(version) => {
            heard.version = Some(version.to_owned());
            counts.version_seen = Some(version.to_owned());
        }
        Fact::Env { name, value }
            if source == Source::Plugin && (heard.env.len() < MAX_ENV || heard.env.contains_key(name)) =>
        {
            heard.env.insert(name.to_owned(), value.to_owned());
        }
        Fact::Message(words) => heard.last_error = Some(words.to_owned()),
        _ => {}
    }
}
