//! Errors against the plugin's own rate.
//!
//! Errors come with requests and, whatever the load, with time (bots, scheduled jobs): `expected = own * seconds + per
//! request * requests`, both rates gamma-Poisson posteriors with a half-life, over a prior of the fleet; each error is
//! shared between them in proportion (one step of expectation maximisation). Cumulative sums of the log-likelihood
//! ratio for a rate that is 2, 4 or 10 times as high, divided by the dispersion, raise the alarm (Page, 1954).
//!
//! What is learnt waits until the sums are back at zero: so an illness is never learnt, and neither are only the good
//! hours.

use super::{
    finding::Evidence,
    jobs::Jobs,
    num,
    verdict::{Context, Verdict, confidence},
    watch::{Watch, speaker},
};

/// The shifts looked for: how many times the usual rate.
const RATIOS: [f64; 3] = [2.0, 4.0, 10.0];
/// The prior counts as much as so many requests, and so many seconds.
const PRIOR_REQUESTS: f64 = 200.0;
const PRIOR_SECONDS: f64 = 7_200.0;
/// A new plugin's rate may be this many standard deviations higher than seen.
const DOUBT: f64 = 1.2;
/// A window never counts as less expected than this.
const LEAST_EXPECTED: f64 = 1e-3;
/// Before much is known, no rate below this many errors a request is news.
const NEW_RATE: f64 = 0.05;
/// The first guess of the dispersion.
const NOISE_GUESS: f64 = 1.3;
/// Fewer errors above the usual than this are not worth an alarm.
const FEWEST: f64 = 5.0;
/// Of so many requests, so great a share failing is gross.
const GROSS_REQUESTS: f64 = 20.0;
const GROSS_SHARE: f64 = 0.4;
/// And it is many times what is usual.
const GROSS_RATIO: f64 = 4.0;
/// A rate has fallen when it is this share of the usual.
pub const FALLEN: f64 = 0.25;

/// Two rates, as sums of events over what they came from.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Split {
    pub own_events: f32,
    pub seconds: f32,
    pub load_events: f32,
    pub requests: f32,
}

/// Errors a second and errors a request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    pub own: f32,
    pub load: f32,
}

impl Rates {
    /// How many errors are expected of a window.
    pub fn expected(self, seconds: f64, requests: f64) -> f64 {
        (f64::from(self.own) * seconds + f64::from(self.load) * requests).max(LEAST_EXPECTED)
    }
}

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Errors {
    pub base: Split,
    pub pending: Split,
    pub watch: Watch,
    /// What the hour that runs has seen, and what was expected of it.
    pub block_seen: f32,
    pub block_expected: f32,
    /// The same since the suspicion began.
    pub ill_seen: f32,
    pub ill_expected: f32,
    pub jobs: Jobs,
}

/// One window.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Requests served.
    pub requests: f64,
    /// Errors.
    pub errors: f64,
}

impl Errors {
    /// The rates that are usual, as far as they are known.
    pub fn usual(&self, context: &Context<'_>) -> Rates {
        let base = &self.base;
        let own = (f64::from(base.own_events) + PRIOR_SECONDS * context.prior.errors_per_second)
            / (f64::from(base.seconds) + PRIOR_SECONDS);
        let load = (f64::from(base.load_events) + PRIOR_REQUESTS * context.prior.errors_per_request)
            / (f64::from(base.requests) + PRIOR_REQUESTS);
        Rates {
            own: num::kept(own),
            load: num::kept(load),
        }
    }

    /// How many requests the plugin usually serves a second, once that is known.
    pub fn requests_per_second(&self) -> Option<f64> {
        let [requests, seconds] = [
            self.base.requests + self.pending.requests,
            self.base.seconds + self.pending.seconds,
        ]
        .map(f64::from);
        (seconds > 0.0).then(|| requests / seconds)
    }

    /// How much more errors scatter than independent ones would, at least 1.
    pub fn dispersion(&self) -> f64 {
        self.watch.dispersion(NOISE_GUESS)
    }

    /// Of how many events the usual rates are known.
    fn events(&self) -> f64 {
        f64::from(self.base.own_events + self.base.load_events)
    }

    /// How much higher than seen the usual rate may be.
    pub fn doubt(&self) -> f64 {
        1.0 + DOUBT / (self.events() + 1.0).sqrt()
    }

    /// One window further.
    pub fn advance(&mut self, sample: Sample, context: &Context<'_>) -> Verdict {
        let usual = self.usual(context);
        let plain = usual.expected(context.window_s, sample.requests);
        let dispersion = self.dispersion() * context.youth();
        let allowed = self.jobs.allowed(context.at) * context.window_s;
        let mut expected = plain * self.doubt() + allowed;
        if context.is_new() {
            let least = NEW_RATE * sample.requests + 3.0 * f64::from(usual.own) * context.window_s;
            expected = (2.0 * expected).max(least);
        }
        // No nightly job lets most of the customers' requests fail.
        let is_gross = sample.requests >= GROSS_REQUESTS
            && sample.errors >= (GROSS_SHARE * sample.requests).max(expected * GROSS_RATIO);
        let cap = context.cap(context.settings.threshold, true, is_gross);
        let gain = |ratio: f64| (sample.errors * ratio.ln() - expected * (ratio - 1.0)) / dispersion;
        self.watch.pour(RATIOS.map(gain), cap, context);
        // Of a new plugin, and in the hours of a known job, each excess is noted, so that the allowance is kept.
        let noted = allowed > 0.0 || context.observed_s < context.settings.first_day_s;
        let enough = context.settings.threshold * if noted { 0.2 } else { 0.4 };
        let suspicious = self.watch.peak() > enough && sample.errors > plain * 1.5 + 0.5;
        let is_burst = suspicious || (noted && excess(sample.errors, plain, dispersion));
        let above = (sample.errors - plain).max(0.0);
        self.jobs.advance(context.at, above, context.window_s, is_burst);
        self.scatter(sample.errors, plain, allowed > 0.0, context);
        if self.watch.is_ill() {
            self.go_on(sample, usual, expected, dispersion, context)
        } else {
            self.look(sample, usual, expected, dispersion, context)
        }
    }

    /// While nothing is known to be wrong.
    fn look(&mut self, sample: Sample, usual: Rates, expected: f64, dispersion: f64, context: &Context<'_>) -> Verdict {
        let most = expected + 4.0 * (expected * dispersion).sqrt() + 3.0;
        let learnt = if context.is_new() {
            sample.errors
        } else {
            sample.errors.min(most)
        };
        self.pending.add(sample, learnt, usual, context.window_s);
        let peak = self.watch.peak();
        self.fall(
            sample.errors,
            usual.expected(context.window_s, sample.requests),
            dispersion,
        );
        if !self.watch.suspects(context) {
            (self.ill_seen, self.ill_expected) = (0.0, 0.0);
            self.learn(context);
            return Verdict::Well;
        }
        self.ill_seen += num::kept(sample.errors);
        self.ill_expected += num::kept(expected);
        let is_bad_itself = sample.errors > expected * 1.2;
        let excess = f64::from(self.ill_seen - self.ill_expected);
        if peak < context.settings.threshold || !is_bad_itself || excess < FEWEST {
            return Verdict::Well;
        }
        self.watch.alarm(context);
        self.ill(sample, context)
    }

    /// A rate that fell for good (an old illness cured) is followed soon: what was usual counts for less.
    fn fall(&mut self, errors: f64, expected: f64, dispersion: f64) {
        let gain = (expected * (1.0 - FALLEN) + errors * FALLEN.ln()) / dispersion;
        if self.watch.falls(gain) {
            self.base.fade(0.3);
        }
    }

    /// While something is known to be wrong.
    fn go_on(
        &mut self,
        sample: Sample,
        usual: Rates,
        expected: f64,
        dispersion: f64,
        context: &Context<'_>,
    ) -> Verdict {
        let settings = context.settings;
        self.pending
            .fade(num::decay(context.elapsed_s, settings.new_normal_s / 2.0));
        self.pending.add(sample, sample.errors, usual, context.window_s);
        let kept = num::kept(num::decay(context.elapsed_s, 4.0 * 3600.0));
        // What comes after the end would make the illness look small, and its end far.
        let ratio = self.ratio();
        let against = ratio.powf(0.7).clamp(1.5, 15.0);
        let gain = (expected * (against - 1.0) - sample.errors * against.ln()) / dispersion;
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
            self.ill_seen = self.ill_seen * kept + num::kept(sample.errors);
            self.ill_expected = self.ill_expected * kept + num::kept(expected);
        }
        self.ill(sample, context)
    }

    fn forget_illness(&mut self) {
        self.pending = Split::default();
        self.watch.end();
        (self.ill_seen, self.ill_expected) = (0.0, 0.0);
    }

    fn ratio(&self) -> f64 {
        f64::from(self.ill_seen) / f64::from(self.ill_expected).max(LEAST_EXPECTED)
    }

    fn ill(&self, sample: Sample, context: &Context<'_>) -> Verdict {
        let usual = self.usual(context).expected(context.window_s, sample.requests);
        let hourly = 3600.0 / context.window_s;
        let ratio = self.ratio();
        Verdict::Ill {
            confidence: confidence(self.watch.peak(), context.settings.threshold, (ratio - 1.5) / 4.0),
            evidence: Evidence {
                detector: speaker(context),
                since: i64::from(self.watch.since),
                observed: usual * ratio * hourly,
                expected: usual * hourly,
                excess_per_hour: Some(usual * (ratio - 1.0).max(0.0) * hourly),
            },
        }
    }

    /// What waited is learnt.
    fn learn(&mut self, context: &Context<'_>) {
        let pending = std::mem::take(&mut self.pending);
        let kept = num::decay(f64::from(pending.seconds), context.settings.half_life_s);
        self.base.fade(kept);
        self.base.join(pending);
    }

    /// Dispersion of windows and of whole hours. What jobs and illnesses do is not scatter.
    fn scatter(&mut self, errors: f64, expected: f64, job: bool, context: &Context<'_>) {
        let calm =
            !job && !context.starting && !context.is_new() && self.watch.peak() < context.settings.threshold * 0.4;
        if calm {
            let most = 3.0 * (expected * self.dispersion()).sqrt() + 1.0;
            let off = (errors - expected).clamp(-most, most);
            // What is seen counts as well: an illness that grows slowly is no scatter.
            self.watch.scatter(off * off, expected.max(errors), context);
            self.block_seen += num::kept(errors);
            self.block_expected += num::kept(expected);
        }
        if !self.watch.is_hour_over(context) {
            return;
        }
        let (seen, expected) = (f64::from(self.block_seen), f64::from(self.block_expected));
        self.watch
            .next_hour((calm && expected > 0.0).then_some((seen, expected)), context);
        (self.block_seen, self.block_expected) = (0.0, 0.0);
    }
}

/// Whether a window has far more than chance gives.
fn excess(errors: f64, expected: f64, dispersion: f64) -> bool {
    errors > expected + 3.0 * (expected * dispersion).sqrt() + 2.0
}

impl Split {
    fn add(&mut self, sample: Sample, errors: f64, usual: Rates, seconds: f64) {
        let (own, load) = (f64::from(usual.own) * seconds, f64::from(usual.load) * sample.requests);
        let share = own / (own + load).max(1e-12);
        self.own_events += num::kept(errors * share);
        self.load_events += num::kept(errors * (1.0 - share));
        self.seconds += num::kept(seconds);
        self.requests += num::kept(sample.requests);
    }

    fn join(&mut self, other: Self) {
        self.own_events += other.own_events;
        self.seconds += other.seconds;
        self.load_events += other.load_events;
        self.requests += other.requests;
    }

    fn fade(&mut self, kept: f64) {
        for part in [
            &mut self.own_events,
            &mut self.seconds,
            &mut self.load_events,
            &mut self.requests,
        ] {
            *part = num::kept(f64::from(*part) * kept);
        }
    }
}
