//! What the models of errors and of webhooks have in common: cumulative sums with their begin and their end, and how much
//! events scatter over windows and over hours.

use super::{
    finding::Detector,
    num,
    verdict::{Context, swing, swings},
};

/// Weight of the first guess of the dispersion, in expected events.
const NOISE_WEIGHT: f64 = 30.0;
/// Evidence that an illness is over, in nats, and the share of it that one window may give.
const EASE: f64 = 6.0;
const EASE_CAP: f64 = 0.34;
/// A level has fallen for good with so much evidence, in nats.
const FALLEN_SURE: f64 = 25.0;
/// Length of the blocks whose dispersion is measured beside that of windows, in seconds.
const BLOCK_S: i64 = 3600;

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Watch {
    /// Evidence for each of the shifts looked for, in nats.
    pub sums: [f32; 3],
    /// Evidence that an illness is over.
    pub ease: f32,
    /// When the suspicion began, and when it became an alarm; 0: there is none.
    pub since: u32,
    pub alarm_at: u32,
    /// An illness has lasted for so long that it counts as usual, and has not got better since.
    pub settled: bool,
    /// Squared deviations of windows, and what was expected of them.
    pub noise: [f32; 2],
    /// Dispersion of whole hours.
    pub block_noise: f32,
    /// How far the hour before was off, and how many events it saw.
    pub block_off: f32,
    pub block_before: f32,
    /// When the hour that runs began.
    pub block_from: u32,
}

impl Watch {
    /// Whether an illness is known and not over.
    pub fn is_ill(&self) -> bool {
        self.alarm_at != 0
    }

    /// The most evidence there is for any shift.
    pub fn peak(&self) -> f64 {
        self.sums.iter().copied().map(f64::from).fold(0.0, f64::max)
    }

    /// Adds what a window says for each shift, no more than `cap`.
    pub fn pour(&mut self, gains: [f64; 3], cap: f64, context: &Context<'_>) {
        for (sum, gain) in self.sums.iter_mut().zip(gains) {
            *sum = context.pour(*sum, gain, context.settings.threshold, cap);
        }
    }

    /// Whether there is any suspicion after this window; notes when it began.
    pub fn suspects(&mut self, context: &Context<'_>) -> bool {
        if self.peak() <= 0.0 {
            self.since = 0;
        } else if self.since == 0 {
            self.since = num::moment(context.at);
        }
        self.since != 0
    }

    /// The suspicion is an illness from now on.
    pub fn alarm(&mut self, context: &Context<'_>) {
        self.alarm_at = num::moment(context.at);
        self.ease = 0.0;
    }

    /// Takes a window's word that the illness is over; whether it is.
    pub fn eases(&mut self, gain: f64, context: &Context<'_>) -> bool {
        let length = (context.window_s / context.settings.heartbeat_interval_s).clamp(0.02, 1.0);
        let gain = gain.min(EASE * EASE_CAP * length);
        self.ease = num::kept((f64::from(self.ease) + gain).clamp(0.0, EASE));
        f64::from(self.ease) >= EASE
    }

    /// Whether the illness has lasted for so long that it counts as usual.
    pub fn is_usual_by_now(&self, context: &Context<'_>) -> bool {
        num::seconds(context.at - i64::from(self.alarm_at)) >= context.settings.new_normal_s
    }

    /// The illness is over.
    pub fn end(&mut self) {
        self.sums = [0.0; 3];
        self.ease = 0.0;
        (self.since, self.alarm_at) = (0, 0);
    }

    /// The illness goes on, and counts as usual from now on.
    pub fn settle(&mut self) {
        self.end();
        self.settled = true;
    }

    /// Takes a window's word that the level has fallen far below the usual; whether it has for good.
    pub fn falls(&mut self, gain: f64) -> bool {
        self.ease = num::kept((f64::from(self.ease) + gain).max(0.0));
        let fallen = f64::from(self.ease) > FALLEN_SURE;
        if fallen {
            self.ease = 0.0;
            self.settled = false;
        }
        fallen
    }

    /// How much more events scatter than independent ones would, at least 1; `guess` before anything is known.
    pub fn dispersion(&self, guess: f64) -> f64 {
        let [deviation, expected] = self.noise.map(f64::from);
        let windows = (deviation + NOISE_WEIGHT * guess) / (expected + NOISE_WEIGHT);
        windows.max(swings(self.block_noise)).max(1.0)
    }

    /// Learns from a calm window how much windows scatter.
    pub fn scatter(&mut self, squared: f64, expected: f64, context: &Context<'_>) {
        let kept = num::decay(context.elapsed_s, context.settings.half_life_s);
        let [deviation, weight] = &mut self.noise;
        *deviation = num::kept(f64::from(*deviation) * kept + squared);
        *weight = num::kept(f64::from(*weight) * kept + expected);
    }

    /// Whether the hour that runs is over with this window.
    pub fn is_hour_over(&mut self, context: &Context<'_>) -> bool {
        if self.block_from == 0 {
            self.block_from = num::moment(context.at);
        }
        context.at - i64::from(self.block_from) >= BLOCK_S
    }

    /// Begins the next hour. What the one before saw and what was expected of it, when it was calm, says how much hours
    /// scatter: slow swings do not show in single windows.
    pub fn next_hour(&mut self, calm: Option<(f64, f64)>, context: &Context<'_>) {
        if let Some((seen, expected)) = calm {
            let off = seen - expected;
            let step = off - f64::from(self.block_off);
            let chance = seen + f64::from(self.block_before) + 1.0;
            self.block_noise = num::kept(swing(self.block_noise, step * step / chance, context));
            (self.block_off, self.block_before) = (num::kept(off), num::kept(seen));
        }
        self.block_from = num::moment(context.at);
    }
}

/// Who says it: before much is known, gross thresholds.
pub fn speaker(context: &Context<'_>) -> Detector {
    if context.is_new() {
        Detector::Rule
    } else {
        Detector::Model
    }
}
