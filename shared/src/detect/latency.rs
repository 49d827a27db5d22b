//! Latency against what the load explains: the logarithm of the mean duration, regressed on the logarithm of the
//! requests a minute, over blocks of 20 minutes. A cumulative sum of the blocks' residuals, beyond a dead band, in units
//! of their own scatter, raises the alarm.

use super::{
    finding::{Detector, Evidence},
    num,
    settings::Settings,
    verdict::{Context, Verdict, confidence},
};

/// A block with fewer requests waits for more, but not longer than this, in seconds.
const FEWEST_REQUESTS: f64 = 20.0;
const LONGEST_BLOCK_S: i64 = 3 * 3600;
/// No load explains more than so much of the logarithm of latency for each unit of the logarithm of load.
const SLOPE: std::ops::RangeInclusive<f64> = -0.3..=1.5;
/// Pulls the slope towards zero while little is known.
const RIDGE: f64 = 2.0;
/// The scatter is never taken to be less than this.
const LEAST_SCATTER: f64 = 0.03;
/// A fall of log latency by at least this is followed at once.
const LOWER: f64 = 0.25;
/// Weight of a window, in requests: more tell no more.
const MOST_WEIGHT: f64 = 50.0;

/// What is remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Latency {
    /// Blocks learnt, faded.
    pub blocks: f32,
    pub mean_load: f32,
    pub mean_log: f32,
    pub load_variation: f32,
    pub covariation: f32,
    /// Mean square of the residuals.
    pub scatter: f32,
    /// The block that is open: weighted sums, and when it began.
    pub weight: f32,
    pub load: f32,
    pub logs: f32,
    pub requests: f32,
    pub block_from: u32,
    pub sum: f32,
    /// The residual of the last blocks, smoothed, and its peak during an illness.
    pub level: f32,
    pub peak: f32,
    /// How much of the level has lasted for so long that it counts as usual.
    pub settled: f32,
    pub since: u32,
    pub alarm_at: u32,
}

/// One window.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Requests served, at least 1.
    pub requests: f64,
    /// Their mean duration, in ms, above 0.
    pub latency_ms: f64,
}

/// A closed block.
#[derive(Debug, Clone, Copy)]
struct Block {
    load: f64,
    latency: f64,
}

impl Latency {
    /// Whether an illness is known and not over.
    pub fn is_ill(&self) -> bool {
        self.alarm_at != 0
    }

    /// One window further; gives the residual and its scatter when a block was closed.
    pub fn advance(&mut self, sample: Sample, context: &Context<'_>) -> (Verdict, Option<Residual>) {
        if context.starting {
            return (Verdict::Unknown, None);
        }
        if self.block_from == 0 {
            self.block_from = num::moment(context.at);
        }
        let weight = sample.requests.min(MOST_WEIGHT);
        let load = (1.0 + sample.requests * 60.0 / context.window_s).ln();
        self.weight += num::kept(weight);
        self.load += num::kept(weight * load);
        self.logs += num::kept(weight * sample.latency_ms.ln());
        self.requests += num::kept(sample.requests);
        let open_s = context.at - i64::from(self.block_from);
        let is_full = f64::from(self.requests) >= FEWEST_REQUESTS || open_s >= LONGEST_BLOCK_S;
        if num::seconds(open_s) < context.settings.latency_block_s || !is_full {
            return (self.unchanged(context), None);
        }
        let weight = f64::from(self.weight).max(1e-6);
        let block = Block {
            load: f64::from(self.load) / weight,
            latency: f64::from(self.logs) / weight,
        };
        (self.weight, self.load, self.logs, self.requests) = (0.0, 0.0, 0.0, 0.0);
        self.block_from = num::moment(context.at);
        self.close(block, context)
    }

    fn unchanged(&self, context: &Context<'_>) -> Verdict {
        if self.is_ill() {
            self.ill(context)
        } else {
            Verdict::Unknown
        }
    }

    /// How far blocks usually are from what their load explains, a standard deviation of logarithms.
    pub fn scatter(&self) -> f64 {
        f64::from(self.scatter).sqrt().max(LEAST_SCATTER) * (1.0 + 6.0 / f64::from(self.blocks).max(1.0))
    }

    fn slope(&self) -> f64 {
        let slope = f64::from(self.covariation) / (f64::from(self.load_variation) + RIDGE * 0.05);
        slope.clamp(*SLOPE.start(), *SLOPE.end())
    }

    fn close(&mut self, block: Block, context: &Context<'_>) -> (Verdict, Option<Residual>) {
        let settings = context.settings;
        let known = f64::from(self.blocks);
        if known < 1.0 {
            self.learn(block, 0.0, context);
            return (Verdict::Well, None);
        }
        let away = block.load - f64::from(self.mean_load);
        let value = block.latency - f64::from(self.mean_log) - self.slope() * away;
        let leverage = 1.0 + 2.0 / known + away * away / (f64::from(self.load_variation) + 0.1);
        let scatter = (f64::from(self.scatter).max(LEAST_SCATTER.powi(2)) * leverage).sqrt() * (1.0 + 6.0 / known);
        let residual = Residual { value, scatter };
        let standard = ((value - settings.latency_dead_band) / scatter).clamp(-4.0, settings.latency_cap);
        let kept = num::decay(context.elapsed_s, settings.forget_half_life_s);
        let is_new = context.is_new();
        let sum = (f64::from(self.sum) * kept + standard - 0.5).clamp(0.0, settings.latency_threshold * 1.5);
        self.sum = if is_new { 0.0 } else { num::kept(sum) };
        self.level += num::kept(0.35 * (value - f64::from(self.level)));
        if f64::from(self.level) < -LOWER.max(3.0 * self.scatter()) && !self.is_ill() {
            // What got faster for good is followed at once: waiting would only blind.
            self.mean_log += self.level / 2.0;
            self.settled = (self.settled + self.level / 2.0).max(0.0);
            self.level /= 2.0;
        }
        let verdict = if self.is_ill() {
            self.go_on(context)
        } else {
            self.look(value, context)
        };
        if !self.is_ill() && f64::from(self.sum) < settings.latency_threshold * 0.5 {
            self.learn(block, value, context);
        }
        (verdict, Some(residual))
    }

    /// Whether an illness counts as usual and has not got better since.
    pub fn is_settled(&self, settings: &Settings) -> bool {
        f64::from(self.settled) > settings.latency_least_effect
    }

    fn look(&mut self, value: f64, context: &Context<'_>) -> Verdict {
        let settings = context.settings;
        if self.sum <= 0.0 {
            self.since = 0;
            return Verdict::Well;
        }
        if self.since == 0 {
            self.since = num::moment(context.at);
        }
        let felt = f64::from(self.level).min(value) > settings.latency_least_effect;
        if f64::from(self.sum) < settings.latency_threshold || !felt {
            return Verdict::Well;
        }
        self.alarm_at = num::moment(context.at);
        self.peak = self.level;
        self.ill(context)
    }

    fn go_on(&mut self, context: &Context<'_>) -> Verdict {
        self.peak = self.peak.max(self.level);
        let is_over = self.level < self.peak * 0.35;
        let lasted = num::seconds(context.at - i64::from(self.alarm_at));
        if !is_over && lasted < context.settings.new_normal_s {
            return self.ill(context);
        }
        if !is_over {
            self.mean_log += self.level;
            self.settled = self.level;
        }
        (self.sum, self.level, self.peak, self.since, self.alarm_at) = (0.0, 0.0, 0.0, 0, 0);
        if is_over { Verdict::Well } else { Verdict::Settled }
    }

    fn ill(&self, context: &Context<'_>) -> Verdict {
        let level = f64::from(self.level);
        let usual = f64::from(self.mean_log).exp();
        Verdict::Ill {
            confidence: confidence(f64::from(self.sum), context.settings.latency_threshold, level / 0.5),
            evidence: Evidence {
                detector: Detector::Model,
                since: i64::from(self.since),
                observed: usual * level.exp(),
                expected: usual,
                excess_per_hour: None,
            },
        }
    }

    /// Takes a block into what is usual; one far out counts as one less far out.
    fn learn(&mut self, block: Block, value: f64, context: &Context<'_>) {
        let settings = context.settings;
        let kept = num::decay(settings.latency_block_s, settings.half_life_s);
        let known = f64::from(self.blocks) * kept + 1.0;
        let share = 1.0 / known;
        let scatter = f64::from(self.scatter).sqrt().max(LEAST_SCATTER);
        let most = if known < 12.0 { f64::INFINITY } else { 2.5 * scatter };
        let pulled = block.latency - value + value.clamp(-most, most);
        let (away, off) = (
            block.load - f64::from(self.mean_load),
            pulled - f64::from(self.mean_log),
        );
        let (variation, covariation) = (f64::from(self.load_variation), f64::from(self.covariation));
        self.load_variation = num::kept((1.0 - share) * (variation + share * away * away));
        self.covariation = num::kept((1.0 - share) * (covariation + share * away * off));
        self.mean_load += num::kept(share * away);
        self.mean_log += num::kept(share * off);
        if known > 2.0 {
            let most = if known < 12.0 { 1.0 } else { 4.0 * scatter };
            let square = value.clamp(-most, most).powi(2);
            self.scatter += num::kept(share.max(0.02) * (square - f64::from(self.scatter)));
        }
        self.blocks = num::kept(known);
    }
}

/// How far a block is from what its load explains, and how far that usually is; logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    pub value: f64,
    pub scatter: f64,
}
