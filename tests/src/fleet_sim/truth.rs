//! What really happens to a simulated fleet.

use serde::Serialize;

/// A kind of illness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Errors are several times as frequent at once.
    ErrorSpike,
    /// More webhooks fail at once.
    WebhookStep,
    /// No heartbeat.
    Silence,
    /// Requests take longer and longer.
    LatencyCreep,
    /// Errors become more and more.
    SlowDrift,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ErrorSpike,
        Self::WebhookStep,
        Self::Silence,
        Self::LatencyCreep,
        Self::SlowDrift,
    ];
}

/// One illness of one plugin.
#[derive(Debug, Clone, Serialize)]
pub struct Illness {
    /// Whose.
    pub plugin: usize,
    /// What.
    pub kind: Kind,
    /// Begin, in seconds since 1970.
    pub from: i64,
    /// End.
    pub to: i64,
    /// How strong at its height: a ratio of errors or latency, points of webhooks; 0 for silence.
    pub strength: f64,
    /// When an oracle that knows the true rates is sure; `None` when there is too little evidence.
    pub oracle_at: Option<i64>,
    /// Heartbeats from the begin to that moment.
    pub oracle_beats: u32,
    /// The most evidence that the oracle had at any time, in nats.
    pub oracle_nats: f64,
    /// Whether a bad release is the cause, so that finding the release is what counts.
    pub of_release: bool,
}

/// One release.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// Where it is bad; `None`: everywhere. Without meaning for a good one.
    pub platform: Option<String>,
    /// When the first plugin got it.
    pub from: i64,
    /// What it does to whom it hits; `None` for a good one.
    pub bad: Option<Kind>,
    /// Plugins hit so far.
    pub hit: usize,
}
