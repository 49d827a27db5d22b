//! Counters of one telemetry interval.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many metrics with names of their own a window may carry.
pub const MAX_CUSTOM_METRICS: usize = 64;
/// The longest name of such a metric, in bytes.
const MAX_METRIC_NAME: usize = 100;
/// No counter of one window may pass this: more is a lie or an overflow.
pub const MAX_COUNT: u64 = 1_000_000_000_000;

/// What happened at one plugin from `from` (inclusive) to `to` (exclusive). Counts travel with their exposure: errors
/// with requests, failures with deliveries, because a rate without its denominator misleads every detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Grows by one with each window of a plugin, also through restarts: a window sent twice is counted once.
    pub seq: u64,
    /// Start, UTC.
    pub from: Timestamp,
    /// End, UTC.
    pub to: Timestamp,
    /// Requests the plugin served.
    #[serde(default)]
    pub requests: u64,
    /// Errors among them, or beside them (a cron run).
    #[serde(default)]
    pub errors: u64,
    /// Webhook deliveries tried.
    #[serde(default)]
    pub webhook_total: u64,
    /// Webhook deliveries failed; never more than `webhook_total`.
    #[serde(default)]
    pub webhook_failed: u64,
    /// How long requests took, when the plugin says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Other numbers, by name: sums for counters, last values for gauges.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, f64>,
    /// Datagrams or lines that were dropped because the plugin said more than its agent takes.
    #[serde(default)]
    pub dropped: u64,
}

/// A summary of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Their mean, in ms.
    pub mean_ms: f64,
    /// The 95th percentile, in ms, within 5 % of the true value.
    pub p95_ms: f64,
    /// The longest, in ms.
    pub max_ms: f64,
}

/// Why a window is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WindowError {
    /// The end lies before the start.
    #[error("window {0} ends before it starts")]
    Backwards(u64),
    /// More than a day: no agent keeps a window open that long.
    #[error("window {0} spans more than 24 hours")]
    TooLong(u64),
    /// A count is larger than any shop could make.
    #[error("window {0} has an impossible count")]
    ImpossibleCount(u64),
    /// More failures than deliveries.
    #[error("window {0} reports more failed webhooks than webhooks")]
    MoreFailedThanTried(u64),
    /// NaN, infinity, a negative duration.
    #[error("window {0} has a number that is not finite or is negative where it may not be")]
    NotANumber(u64),
    /// Too many metrics or too long a name.
    #[error("window {0} has more than {MAX_CUSTOM_METRICS} metrics of its own, or a name over {MAX_METRIC_NAME} bytes")]
    TooManyMetrics(u64),
}

impl Window {
    /// An empty window.
    pub fn empty(seq: u64, from: Timestamp, to: Timestamp) -> Self {
        Self {
            seq,
            from,
            to,
            requests: 0,
            errors: 0,
            webhook_total: 0,
            webhook_failed: 0,
            latency: None,
            custom: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// How long the window was open.
    pub fn length(&self) -> SignedDuration {
        self.to.duration_since(self.from)
    }

    /// Checks what no honest agent would send.
    ///
    /// # Errors
    /// The first thing found wrong, naming the window by its sequence number.
    pub fn check(&self) -> Result<(), WindowError> {
        let length = self.length();
        if length.is_negative() {
            return Err(WindowError::Backwards(self.seq));
        }
        if length > SignedDuration::from_hours(24) {
            return Err(WindowError::TooLong(self.seq));
        }
        let counts = [
            self.requests,
            self.errors,
            self.webhook_total,
            self.webhook_failed,
            self.dropped,
        ];
        if counts.iter().any(|count| *count > MAX_COUNT) {
            return Err(WindowError::ImpossibleCount(self.seq));
        }
        if self.webhook_failed > self.webhook_total {
            return Err(WindowError::MoreFailedThanTried(self.seq));
        }
        if let Some(latency) = &self.latency {
            let fine = |value: f64| value.is_finite() && value >= 0.0;
            if latency.count > MAX_COUNT || ![latency.mean_ms, latency.p95_ms, latency.max_ms].into_iter().all(fine) {
                return Err(WindowError::NotANumber(self.seq));
            }
        }
        let names_fit = self.custom.len() <= MAX_CUSTOM_METRICS
            && self
                .custom
                .keys()
                .all(|name| !name.is_empty() && name.len() <= MAX_METRIC_NAME);
        if !names_fit {
            return Err(WindowError::TooManyMetrics(self.seq));
        }
        if self.custom.values().any(|value| !value.is_finite()) {
            return Err(WindowError::NotANumber(self.seq));
        }
        Ok(())
    }
}
