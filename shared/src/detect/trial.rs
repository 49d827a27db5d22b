//! A plugin after a change of its version, against its own usual rates from before: one plugin's word about a release.
//!
//! Its weight is the logarithm of a likelihood ratio, "this release makes it worse" (by one of several amounts, in
//! errors, webhooks or latency, and not at every plugin) against "all is as before". It is capped, so that no single
//! plugin can blame a release.

use super::{
    errors::Rates,
    num,
    webhooks::{self, Share},
};

/// For how long a release is watched at one plugin, in seconds.
pub const WATCHED_S: i64 = 24 * 3600;
/// The most that one plugin can say, in nats.
pub const MOST: f64 = 5.0;
/// The share of plugins that a bad release is taken to hit.
const HIT: f64 = 0.6;
/// The amounts looked for: ratios of errors, points of webhook failures, logarithms of latency.
const RATIOS: [f64; 3] = [1.6, 2.5, 6.0];
const POINTS: [f64; 3] = [0.06, 0.18, 0.45];
const SHIFTS: [f64; 3] = [0.12, 0.25, 0.5];
/// Neighbouring blocks of latency tell partly the same.
const BLOCKS_TELL: f64 = 0.4;

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trial {
    /// When the version changed; 0 when no change is watched.
    pub since: u32,
    /// From before.
    pub usual: Rates,
    pub usual_share: f32,
    /// Since then.
    pub seen: f32,
    pub expected: f32,
    pub webhooks: Share,
    pub latency: f32,
    pub blocks: f32,
}

/// How much the plugin's numbers scatter.
#[derive(Debug, Clone, Copy)]
pub struct Scatter {
    /// Of errors, as a multiple of independent ones.
    pub errors: f64,
    /// Of webhooks, the same.
    pub webhooks: f64,
    /// Of blocks of log latency, a standard deviation.
    pub latency: f64,
}

impl Trial {
    /// Whether a change is being watched.
    pub fn is_on(&self) -> bool {
        self.since != 0
    }

    /// The plugin's word, in nats; positive speaks against the release.
    pub fn weight(&self, scatter: Scatter) -> f64 {
        let mut words = [0.0; 9];
        let (seen, expected) = (f64::from(self.seen), f64::from(self.expected));
        let sample = webhooks::Sample {
            total: f64::from(self.webhooks.total),
            failed: f64::from(self.webhooks.failed),
        };
        let usual = f64::from(self.usual_share).max(1e-3);
        let (mean, blocks) = (
            f64::from(self.latency) / f64::from(self.blocks).max(1.0),
            f64::from(self.blocks),
        );
        for i in 0..3 {
            words[i] = (seen * RATIOS[i].ln() - expected * (RATIOS[i] - 1.0)) / scatter.errors;
            words[3 + i] = webhooks::weigh(sample, usual, (usual + POINTS[i]).min(0.99)) / scatter.webhooks;
            let shift = SHIFTS[i];
            words[6 + i] = BLOCKS_TELL * blocks * (mean * shift - shift * shift / 2.0) / scatter.latency.powi(2);
        }
        let mean = words.iter().map(|word| word.min(50.0).exp()).sum::<f64>() / 9.0;
        (HIT * mean + 1.0 - HIT).ln().min(MOST)
    }

    /// Takes what one window showed.
    pub fn count(&mut self, seen: f64, expected: f64) {
        self.seen += num::kept(seen);
        self.expected += num::kept(expected);
    }
}
