//! When the next window closes and when the next heartbeat goes. Times are monotonic: durations since the agent's
//! start. The wall clock only chooses the phase.

use std::time::Duration;

use jiff::Timestamp;
use plugmend_shared::ids::PluginId;

/// The shortest time between two heartbeats that a control plane can ask for.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The longest.
const MAX_INTERVAL: Duration = Duration::from_hours(1);
/// The first heartbeat after a start goes within this time, so that a restarted host is seen soon.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// First step of the backoff.
const BACKOFF_BASE: Duration = Duration::from_secs(2);
/// The backoff grows to one interval, but not above this and not below [`BACKOFF_FLOOR`].
const BACKOFF_CEILING: Duration = Duration::from_mins(5);
/// See [`BACKOFF_CEILING`].
const BACKOFF_FLOOR: Duration = Duration::from_secs(10);
/// Between two heartbeats that empty a spool.
const DRAIN_PAUSE: Duration = Duration::from_millis(500);
/// An urgent heartbeat goes at most this often.
const URGENT_EVERY: Duration = Duration::from_secs(5);
/// One that tells of an illness goes at most this often; whoever finds one waits longer before it tells of the next.
const ILLNESS_EVERY: Duration = Duration::from_secs(1);

/// The interval that a control plane asked for, clamped to what can do no harm.
pub fn clamp_interval(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds)).clamp(MIN_INTERVAL, MAX_INTERVAL)
}

/// Where in each interval this plugin's heartbeat lies: always the same for one plugin, evenly spread over a fleet.
pub fn phase(plugin: PluginId, interval: Duration) -> Duration {
    // The last 8 bytes of a UUID are random in version 4 and (but for 2 bits) in 7; the multiplication spreads ids
    // that were made by hand.
    let mut tail = [0; 8];
    tail.copy_from_slice(&plugin.0.as_bytes()[8..]);
    let mixed = (u64::from_be_bytes(tail) ^ (u64::from_be_bytes(tail) >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    share(interval, mixed)
}

/// How long until this plugin's next turn: above zero, at most one interval, whatever the clock says.
pub fn until_turn(now: Timestamp, plugin: PluginId, interval: Duration) -> Duration {
    let length = i128::try_from(interval.as_nanos()).unwrap_or(i128::MAX).max(1);
    let offset = i128::try_from(phase(plugin, interval).as_nanos()).unwrap_or(0);
    let into = (now.as_nanosecond() - offset).rem_euclid(length);
    Duration::from_nanos(u64::try_from(length - into).unwrap_or(u64::MAX)).min(interval)
}

/// How long to wait after `failures` failures in a row: full jitter (a uniform share of a doubling ceiling), so that a
/// fleet does not come back all at once.
pub fn backoff(failures: u32, interval: Duration, random: u64) -> Duration {
    let cap = interval.clamp(BACKOFF_FLOOR, BACKOFF_CEILING);
    let ceiling = BACKOFF_BASE
        .saturating_mul(2u32.saturating_pow(failures.min(16)))
        .min(cap);
    share(ceiling, random)
}

/// `random` / 2^64 of `whole`.
fn share(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The rhythm of one agent: windows close in time with the phase, online or offline; what is spooled is sent when the
/// last attempt allows.
#[derive(Debug, Clone)]
pub struct Rhythm {
    plugin: PluginId,
    interval: Duration,
    close_at: Duration,
    closed_at: Option<Duration>,
    send: Send,
}

/// What the next sending waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Send {
    /// For a window to close.
    WithWindow,
    /// For this time: the rest of a spool.
    Drain(Duration),
    /// For this time, after so many failures.
    Retry(Duration, u32),
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Close the window.
    pub close: bool,
    /// Send what is spooled.
    pub send: bool,
}

impl Rhythm {
    /// The rhythm of an agent that starts now; `random` spreads hosts that start together.
    pub fn start(plugin: PluginId, interval: Duration, random: u64) -> Self {
        Self {
            plugin,
            interval,
            close_at: share(interval.min(FIRST_WITHIN), random),
            closed_at: None,
            send: Send::WithWindow,
        }
    }

    /// When to look again.
    pub fn wake_at(&self) -> Duration {
        match self.send {
            Send::WithWindow => self.close_at,
            Send::Drain(at) | Send::Retry(at, _) => self.close_at.min(at),
        }
    }

    /// What is due at `now`.
    pub fn due(&self, now: Duration) -> Due {
        let close = now >= self.close_at;
        let send = match self.send {
            Send::WithWindow => close,
            Send::Drain(at) | Send::Retry(at, _) => now >= at,
        };
        Due { close, send }
    }

    /// Something happened that can not wait, an `illness` least of all: the window closes now, unless one just did.
    pub fn urgent(&mut self, now: Duration, illness: bool) {
        let pause = if illness { ILLNESS_EVERY } else { URGENT_EVERY };
        let earliest = self.closed_at.map_or(now, |at| at + pause.min(self.interval));
        self.close_at = self.close_at.min(earliest.max(now));
    }

    /// A window was closed at `now`; `wall` says when the next turn is.
    pub fn closed(&mut self, now: Duration, wall: Timestamp) {
        let mut wait = until_turn(wall, self.plugin, self.interval);
        // The first window after a start, or an urgent one, may lie just before the turn: skip to the next.
        if wait < self.interval / 4 {
            wait += self.interval;
        }
        self.closed_at = Some(now);
        self.close_at = now + wait;
    }

    /// The heartbeat was answered; `more` when the spool was not emptied by it.
    pub fn answered(&mut self, now: Duration, more: bool, random: u64) {
        self.send = if more {
            Send::Drain(now + share(DRAIN_PAUSE, random))
        } else {
            Send::WithWindow
        };
    }

    /// The heartbeat was not answered. Gives how long until the next attempt.
    pub fn failed(&mut self, now: Duration, random: u64) -> Duration {
        let failures = match self.send {
            Send::Retry(_, failures) => failures.saturating_add(1),
            Send::WithWindow | Send::Drain(_) => 1,
        };
        let wait = backoff(failures, self.interval, random);
        self.send = Send::Retry(now + wait, failures);
        wait
    }

    /// The control plane tunes the interval.
    pub fn tune(&mut self, interval: Duration, now: Duration, wall: Timestamp) {
        if interval != self.interval {
            self.interval = interval;
            self.close_at = now + until_turn(wall, self.plugin, interval);
        }
    }

    /// The interval in force.
    pub fn interval(&self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests;
