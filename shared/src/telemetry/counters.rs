//! Facts, gathered until a window closes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    fact::Fact,
    sketch::{Distinct, LatencySketch},
    window::{MAX_COUNT, MAX_CUSTOM_METRICS, Window},
};

/// The metric of our own in each window that refused something: how many lines were not in the notation.
pub const REFUSED_METRIC: &str = "agent.refused";
/// The most different sets in one window.
const MAX_SETS: usize = 8;
/// No sum of a metric passes this, either way.
const MAX_SUM: f64 = 1e15;

/// The open window. Its size is bounded and its counts saturate, whatever is recorded.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    requests: u64,
    errors: u64,
    webhook_total: u64,
    webhook_failed: u64,
    latency: LatencySketch,
    custom: BTreeMap<String, f64>,
    sets: BTreeMap<String, Distinct>,
    dropped: u64,
    refused: u64,
}

impl Counters {
    /// Counts one fact. Facts that are not counts (version, environment, words) change nothing here.
    pub fn record(&mut self, fact: &Fact<'_>) {
        match *fact {
            Fact::Requests { served, failed } => {
                add(&mut self.requests, served);
                add(&mut self.errors, failed);
            }
            Fact::Errors(count) => add(&mut self.errors, count),
            Fact::Webhooks { tried, failed } => {
                add(&mut self.webhook_total, tried);
                add(&mut self.webhook_failed, failed);
            }
            Fact::Latency { ms, times } => self.latency.record(ms, times),
            Fact::Count { name, by } => self.custom(name, "", |sum| sum + by),
            Fact::Gauge { name, value } => self.custom(name, "", |_| value),
            Fact::Timer { name, value, times } => {
                #[expect(clippy::cast_precision_loss, reason = "a sum of measurements")]
                let times = times as f64;
                self.custom(name, ".count", |sum| sum + times);
                self.custom(name, ".sum", |sum| sum + value * times);
            }
            Fact::Member { name, value } => self.member(name, value),
            Fact::Version(_) | Fact::Env { .. } | Fact::Message(_) => {}
        }
    }

    /// Counts what was not even looked at, because there was too much of it.
    pub fn add_dropped(&mut self, count: u64) {
        add(&mut self.dropped, count);
    }

    /// Counts lines that were not in the notation.
    pub fn add_refused(&mut self, count: u64) {
        add(&mut self.refused, count);
    }

    /// Whether anything at all was counted.
    pub fn is_empty(&self) -> bool {
        let counts = [
            self.requests,
            self.errors,
            self.webhook_total,
            self.webhook_failed,
            self.dropped,
            self.refused,
        ];
        counts.iter().all(|count| *count == 0)
            && self.custom.is_empty()
            && self.sets.is_empty()
            && self.latency.quantile(0.5).is_none()
    }

    /// Ends the window and begins the next one, empty. The result always passes [`Window::check`] when `from <= to`
    /// and they are less than a day apart.
    pub fn close(&mut self, seq: u64, from: Timestamp, to: Timestamp) -> Window {
        let closed = std::mem::take(self);
        let mut custom = closed.custom;
        custom.extend(closed.sets.into_iter().map(|(name, set)| (name, set.estimate())));
        if closed.refused > 0 {
            #[expect(clippy::cast_precision_loss, reason = "capped far below 2^52")]
            custom.insert(REFUSED_METRIC.to_owned(), closed.refused as f64);
        }
        Window {
            requests: closed.requests,
            errors: closed.errors,
            // A plugin that counts the two apart may have counted a failure whose delivery fell into the last window.
            webhook_total: closed.webhook_total.max(closed.webhook_failed),
            webhook_failed: closed.webhook_failed,
            latency: closed.latency.summary(),
            custom,
            dropped: closed.dropped,
            ..Window::empty(seq, from, to)
        }
    }

    fn custom(&mut self, name: &str, suffix: &str, change: impl FnOnce(f64) -> f64) {
        let key = format!("{name}{suffix}");
        if !self.custom.contains_key(&key) && (self.is_full() || key == REFUSED_METRIC) {
            self.add_refused(1);
            return;
        }
        let value = self.custom.entry(key).or_insert(0.0);
        let changed = change(*value);
        if changed.is_finite() {
            *value = changed.clamp(-MAX_SUM, MAX_SUM);
        }
    }

    fn member(&mut self, name: &str, value: &str) {
        if !self.sets.contains_key(name) && (self.is_full() || self.sets.len() >= MAX_SETS || name == REFUSED_METRIC) {
            self.add_refused(1);
            return;
        }
        self.sets.entry(name.to_owned()).or_default().add(value);
    }

    /// One place is kept for [`REFUSED_METRIC`].
    fn is_full(&self) -> bool {
        self.custom.len() + self.sets.len() >= MAX_CUSTOM_METRICS - 1
    }
}

fn add(count: &mut u64, by: u64) {
    *count = count.saturating_add(by).min(MAX_COUNT);
}
