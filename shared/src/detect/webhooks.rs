//! Webhook deliveries against the plugin's own share of failures: cumulative sums of the binomial log-likelihood ratio
//! for a share that is 8, 25 or 60 points higher.

use super::{
    finding::{Detector, Evidence},
    num,
    verdict::{Context, Verdict, confidence, swing, swings},
};

/// The shifts looked for, in shares.
const POINTS: [f64; 3] = [0.08, 0.25, 0.60];
/// The prior counts as much as so many deliveries.
const PRIOR_DELIVERIES: f64 = 30.0;
/// The usual share may be this many standard deviations higher than seen.
const DOUBT: f64 = 1.5;
/// No share is taken to be lower or higher than this.
const LEAST: f64 = 0.003;
const MOST: f64 = 0.985;
/// While too little is known, a share below this is not news.
const NEW_SHARE: f64 = 0.15;
/// So many failures, and so great a share, are gross.
const GROSS_FAILED: f64 = 6.0;
const GROSS_SHARE: f64 = 0.5;
const NOISE_WEIGHT: f64 = 30.0;
const NOISE_GUESS: f64 = 1.2;
/// Evidence that the illness is over, in nats.
const EASE: f64 = 6.0;
/// The rate is told over about an hour.
const HOUR_S: f64 = 3_600.0;
const BLOCK_S: i64 = 3600;

/// Failures of deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    pub failed: f32,
    pub total: f32,
}

impl Share {
    fn add(&mut self, sample: Sample) {
        self.failed += num::kept(sample.failed);
        self.total += num::kept(sample.total);
    }

    fn fade(&mut self, kept: f64) {
        self.failed = num::kept(f64::from(self.failed) * kept);
        self.total = num::kept(f64::from(self.total) * kept);
    }

    /// The share, when anything was delivered.
    pub fn rate(self) -> Option<f64> {
        (self.total > 0.5).then(|| (f64::from(self.failed) / f64::from(self.total)).clamp(0.0, 1.0))
    }
}

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Webhooks {
    pub base: Share,
    pub pending: Share,
    /// Seconds that wait with `pending`.
    pub pending_s: f32,
    /// About the last hour.
    pub hour: Share,
    pub ill: Share,
    pub noise: [f32; 2],
    pub block_noise: f32,
    pub block_off: f32,
    pub block_before: f32,
    pub block: Share,
    pub block_from: u32,
    pub sums: [f32; 3],
    pub ease: f32,
    pub since: u32,
    pub alarm_at: u32,
}

/// One window.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Deliveries tried.
    pub total: f64,
    /// Deliveries failed, at most all.
    pub failed: f64,
}

impl Webhooks {
    /// The share that usually fails, as far as it is known.
    pub fn usual(&self, context: &Context<'_>) -> f64 {
        let failed = f64::from(self.base.failed) + PRIOR_DELIVERIES * context.prior.webhook_fail_rate;
        (failed / (f64::from(self.base.total) + PRIOR_DELIVERIES)).clamp(LEAST, MOST)
    }

    /// The most that may be usual.
    pub fn at_most(&self, context: &Context<'_>) -> f64 {
        let usual = self.usual(context);
        let doubt = DOUBT * (usual * (1.0 - usual) / (f64::from(self.base.total) + PRIOR_DELIVERIES)).sqrt();
        (usual + doubt).clamp(LEAST, MOST)
    }

    /// How much more failures scatter than independent ones would, at least 1.
    pub fn dispersion(&self) -> f64 {
        let [deviation, expected] = self.noise.map(f64::from);
        let windows = (deviation + NOISE_WEIGHT * NOISE_GUESS) / (expected + NOISE_WEIGHT);
        windows.max(swings(self.block_noise)).max(1.0)
    }

    /// Whether an illness is known and not over.
    pub fn is_ill(&self) -> bool {
        self.alarm_at != 0
    }

    /// The failing share over about the last hour.
    pub fn last_hour(&self) -> Option<f64> {
        self.hour.rate()
    }

    /// One window further.
    pub fn advance(&mut self, sample: Sample, context: &Context<'_>) -> Verdict {
        self.hour
            .fade(num::decay(context.elapsed_s, HOUR_S * std::f64::consts::LN_2));
        self.hour.add(sample);
        let mut usual = self.at_most(context);
        if context.is_new() {
            usual = (usual * 2.0).clamp(NEW_SHARE, MOST);
        }
        let dispersion = self.dispersion();
        let is_gross = sample.failed >= GROSS_FAILED && sample.failed >= sample.total * (usual + 0.3).max(GROSS_SHARE);
        let cap = context.cap(context.settings.threshold, false, is_gross);
        for (sum, points) in self.sums.iter_mut().zip(POINTS) {
            let gain = weigh(sample, usual, (usual + points).min(0.99)) / dispersion;
            *sum = context.pour(*sum, gain, context.settings.threshold, cap);
        }
        self.scatter(sample, usual, context);
        if self.is_ill() {
            self.go_on(sample, usual, dispersion, context)
        } else {
            self.look(sample, usual, context)
        }
    }

    fn peak(&self) -> f64 {
        self.sums.iter().copied().map(f64::from).fold(0.0, f64::max)
    }

    fn look(&mut self, sample: Sample, usual: f64, context: &Context<'_>) -> Verdict {
        self.pending.add(sample);
        self.pending_s += num::kept(context.window_s);
        let peak = self.peak();
        if peak <= 0.0 {
            self.since = 0;
            self.ill = Share::default();
            self.learn(context);
            return Verdict::Well;
        }
        if self.since == 0 {
            self.since = num::moment(context.at);
        }
        self.ill.add(sample);
        let is_bad_itself = sample.failed > sample.total * usual;
        if peak < context.settings.threshold || !is_bad_itself {
            return Verdict::Well;
        }
        self.alarm_at = num::moment(context.at);
        self.ease = 0.0;
        self.ill(context)
    }

    fn go_on(&mut self, sample: Sample, usual: f64, dispersion: f64, context: &Context<'_>) -> Verdict {
        let settings = context.settings;
        self.pending
            .fade(num::decay(context.elapsed_s, settings.new_normal_s / 2.0));
        self.pending.add(sample);
        self.pending_s += num::kept(context.window_s);
        let against = self.ill.rate().unwrap_or(MOST).clamp(usual + 0.05, 0.99);
        let gain = -weigh(sample, usual, against) / dispersion;
        let most = EASE * 0.34 * (context.window_s / settings.heartbeat_interval_s).clamp(0.02, 1.0);
        self.ease = num::kept((f64::from(self.ease) + gain.min(most)).clamp(0.0, EASE));
        if f64::from(self.ease) >= EASE {
            self.forget_illness();
            return Verdict::Well;
        }
        if num::seconds(context.at - i64::from(self.alarm_at)) >= settings.new_normal_s {
            self.base = self.pending;
            self.forget_illness();
            return Verdict::Settled;
        }
        if self.ease <= 0.0 {
            self.ill.fade(num::decay(context.elapsed_s, 4.0 * HOUR_S));
            self.ill.add(sample);
        }
        self.ill(context)
    }

    fn forget_illness(&mut self) {
        (self.pending, self.ill) = (Share::default(), Share::default());
        self.pending_s = 0.0;
        self.sums = [0.0; 3];
        self.ease = 0.0;
        (self.since, self.alarm_at) = (0, 0);
    }

    fn ill(&self, context: &Context<'_>) -> Verdict {
        let usual = self.usual(context);
        let share = self.ill.rate().unwrap_or(usual);
        let spell = (num::seconds(context.at - i64::from(self.since)) + context.window_s).min(4.0 * HOUR_S);
        let hourly = f64::from(self.ill.total) / spell * HOUR_S;
        Verdict::Ill {
            confidence: confidence(self.peak(), context.settings.threshold, (share - usual) / 0.4),
            evidence: Evidence {
                detector: if context.is_new() {
                    Detector::Rule
                } else {
                    Detector::Model
                },
                since: i64::from(self.since),
                observed: share,
                expected: usual,
                excess_per_hour: Some(hourly * (share - usual).max(0.0)),
            },
        }
    }

    fn learn(&mut self, context: &Context<'_>) {
        let kept = num::decay(f64::from(self.pending_s), context.settings.half_life_s);
        self.base.fade(kept);
        self.base.failed += self.pending.failed;
        self.base.total += self.pending.total;
        (self.pending, self.pending_s) = (Share::default(), 0.0);
    }

    /// Dispersion of windows and of whole hours.
    fn scatter(&mut self, sample: Sample, usual: f64, context: &Context<'_>) {
        let calm = self.peak() < context.settings.threshold * 0.3 && !context.is_new();
        if calm {
            let kept = num::decay(context.elapsed_s, context.settings.half_life_s);
            let [deviation, weight] = &mut self.noise;
            let variance = sample.total * usual * (1.0 - usual);
            let squared = (sample.failed - sample.total * usual).powi(2);
            *deviation = num::kept(f64::from(*deviation) * kept + squared);
            *weight = num::kept(f64::from(*weight) * kept + variance);
        }
        if self.block_from == 0 {
            self.block_from = num::moment(context.at);
        }
        self.block.add(sample);
        if context.at - i64::from(self.block_from) < BLOCK_S {
            return;
        }
        let (failed, total) = (f64::from(self.block.failed), f64::from(self.block.total));
        if calm && total > 0.0 {
            let off = failed - total * usual;
            let step = off - f64::from(self.block_off);
            let chance = failed + f64::from(self.block_before) + 1.0;
            self.block_noise = num::kept(swing(self.block_noise, step * step / chance, context));
            (self.block_off, self.block_before) = (num::kept(off), num::kept(failed));
        }
        self.block = Share::default();
        self.block_from = num::moment(context.at);
    }
}

/// The log-likelihood ratio of a share against the usual one.
pub fn weigh(sample: Sample, usual: f64, against: f64) -> f64 {
    sample.failed * (against / usual).ln()
        + (sample.total - sample.failed).max(0.0) * ((1.0 - against) / (1.0 - usual)).ln()
}
