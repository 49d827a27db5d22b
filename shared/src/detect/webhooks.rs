//! Webhook deliveries against the plugin's own share of failures: cumulative sums of the binomial log-likelihood ratio
//! for a share that is 8, 25 or 60 points higher.

use super::{
    errors::FALLEN,
    finding::Evidence,
    num,
    verdict::{Context, Verdict, confidence},
    watch::{Watch, speaker},
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
/// The first guess of the dispersion.
const NOISE_GUESS: f64 = 1.2;
/// The rate is told over about an hour.
const HOUR_S: f64 = 3_600.0;

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
    /// Since the suspicion began.
    pub ill: Share,
    pub watch: Watch,
    /// The hour that runs.
    pub block: Share,
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
        self.watch.dispersion(NOISE_GUESS)
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
        let gain = |points: f64| weigh(sample, usual, (usual + points).min(0.99)) / dispersion;
        self.watch.pour(POINTS.map(gain), cap, context);
        self.scatter(sample, usual, context);
        if self.watch.is_ill() {
            self.go_on(sample, usual, dispersion, context)
        } else {
            self.fall(sample, usual, dispersion);
            self.look(sample, usual, context)
        }
    }

    /// An illness that had become usual is over when far less fails: what was usual counts for less then.
    fn fall(&mut self, sample: Sample, usual: f64, dispersion: f64) {
        let gain = weigh(sample, usual, usual * FALLEN) / dispersion;
        if self.watch.settled && self.watch.falls(gain) {
            self.base.fade(0.3);
        }
    }

    fn look(&mut self, sample: Sample, usual: f64, context: &Context<'_>) -> Verdict {
        self.pending.add(sample);
        self.pending_s += num::kept(context.window_s);
        if !self.watch.suspects(context) {
            self.ill = Share::default();
            self.learn(context);
            return Verdict::Well;
        }
        self.ill.add(sample);
        let is_bad_itself = sample.failed > sample.total * usual;
        if self.watch.peak() < context.settings.threshold || !is_bad_itself {
            return Verdict::Well;
        }
        self.watch.alarm(context);
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
        if self.watch.eases(gain, context) {
            self.forget_illness();
            return Verdict::Well;
        }
        if self.watch.is_usual_by_now(context) {
            self.base = self.pending;
            self.forget_illness();
            self.watch.settle();
            return Verdict::Settled;
        }
        if self.watch.ease <= 0.0 {
            self.ill.fade(num::decay(context.elapsed_s, 4.0 * HOUR_S));
            self.ill.add(sample);
        }
        self.ill(context)
    }

    fn forget_illness(&mut self) {
        (self.pending, self.ill) = (Share::default(), Share::default());
        self.pending_s = 0.0;
        self.watch.end();
    }

    fn ill(&self, context: &Context<'_>) -> Verdict {
        let usual = self.usual(context);
        let share = self.ill.rate().unwrap_or(usual);
        let spell = (num::seconds(context.at - i64::from(self.watch.since)) + context.window_s).min(4.0 * HOUR_S);
        let hourly = f64::from(self.ill.total) / spell * HOUR_S;
        Verdict::Ill {
            confidence: confidence(self.watch.peak(), context.settings.threshold, (share - usual) / 0.4),
            evidence: Evidence {
                detector: speaker(context),
                since: i64::from(self.watch.since),
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
        let calm = self.watch.peak() < context.settings.threshold * 0.3 && !context.is_new();
        if calm {
            let variance = sample.total * usual * (1.0 - usual);
            let squared = (sample.failed - sample.total * usual).powi(2);
            self.watch.scatter(squared, variance, context);
        }
        self.block.add(sample);
        if !self.watch.is_hour_over(context) {
            return;
        }
        let (failed, total) = (f64::from(self.block.failed), f64::from(self.block.total));
        self.watch
            .next_hour((calm && total > 0.0).then_some((failed, total * usual)), context);
        self.block = Share::default();
    }
}

/// The log-likelihood ratio of a share against the usual one.
pub fn weigh(sample: Sample, usual: f64, against: f64) -> f64 {
    sample.failed * (against / usual).ln()
        + (sample.total - sample.failed).max(0.0) * ((1.0 - against) / (1.0 - usual)).ln()
}
