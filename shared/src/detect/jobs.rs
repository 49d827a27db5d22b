//! What comes back at the same hour of every day: nightly jobs, backups, scheduled imports.
//!
//! A burst of errors that ends within an hour and a half leaves an allowance for its hours of the day. It fades when the
//! burst does not come back. A longer one is an illness and leaves nothing.

use super::num;

/// A burst is over when nothing was seen of it for so long, in seconds.
const OVER_S: i64 = 1_800;
/// A burst that lasts longer is none, in seconds.
const LONGEST_S: i64 = 5_400;
/// A job may begin so much earlier or later than the day before, in seconds.
/// A burst of fewer errors is chance.
const FEWEST: f32 = 4.5;
const SLACK_S: i64 = 900;
/// What is allowed for, as a multiple of what was seen.
const MARGIN: f64 = 1.3;
/// A window with less than this share of the highest rate of its burst does not prolong it.
const TRICKLE: f32 = 0.2;
/// What is left of an allowance after a day without its burst.
const FADE: f64 = 0.7;
/// The smallest rate that is remembered, in errors a second, and how finely.
const SMALLEST: f64 = 1e-5;
const STEP: f64 = 0.06;

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Jobs {
    /// Allowance by hour of the day (UTC): a rate on a logarithmic scale, 0 for none.
    pub hours: [u8; 24],
    /// The hour of the day that runs.
    pub hour: u8,
    /// The highest rate of the burst that goes on, its first and its last window (0: none).
    pub peak: f32,
    /// Errors above the usual in it.
    pub total: f32,
    pub from: u32,
    pub last: u32,
}

impl Jobs {
    /// Errors a second that are allowed for at a time.
    pub fn allowed(&self, at: i64) -> f64 {
        [at - SLACK_S, at, at + SLACK_S]
            .into_iter()
            .map(|moment| self.hours.get(hour(moment)).copied().unwrap_or(0))
            .max()
            .map_or(0.0, rate)
    }

    /// One window further: its errors above the usual, its length, and whether that is a burst.
    pub fn advance(&mut self, at: i64, excess: f64, window_s: f64, is_burst: bool) {
        self.turn(at);
        if self.from != 0 && at - i64::from(self.last) > OVER_S {
            self.end();
        }
        // What trickles in after a burst is not part of it.
        let rate = num::kept(excess / window_s);
        if is_burst && rate >= self.peak * TRICKLE {
            if self.from == 0 {
                self.from = num::moment(at);
                (self.peak, self.total) = (0.0, 0.0);
            }
            self.last = num::moment(at);
            self.total += num::kept(excess);
            self.peak = self.peak.max(rate);
        }
    }

    /// At the turn of an hour, the allowance of the hour that ended fades; a burst in it raises it again.
    fn turn(&mut self, at: i64) {
        let now = hour(at);
        let before = usize::from(self.hour);
        if now == before {
            return;
        }
        if let Some(allowance) = self.hours.get_mut(before) {
            *allowance = code(rate(*allowance) * FADE);
        }
        self.hour = u8::try_from(now).unwrap_or(0);
    }

    fn end(&mut self) {
        let (from, last) = (i64::from(self.from), i64::from(self.last));
        if last - from <= LONGEST_S && self.total >= FEWEST {
            let value = code(f64::from(self.peak) * MARGIN);
            for moment in [from, i64::midpoint(from, last), last] {
                if let Some(allowance) = self.hours.get_mut(hour(moment)) {
                    *allowance = value.max(*allowance);
                }
            }
        }
        (self.from, self.last, self.peak, self.total) = (0, 0, 0.0, 0.0);
    }
}

/// Hour of the day, UTC.
fn hour(at: i64) -> usize {
    usize::try_from(at.rem_euclid(86_400) / 3600).unwrap_or(0)
}

fn rate(code: u8) -> f64 {
    if code == 0 {
        return 0.0;
    }
    SMALLEST * (STEP * f64::from(code)).exp()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a byte"
)]
fn code(rate: f64) -> u8 {
    if rate <= SMALLEST {
        return 0;
    }
    ((rate / SMALLEST).ln() / STEP).round().clamp(0.0, 255.0) as u8
}
