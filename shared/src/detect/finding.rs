//! What a detector says.

use serde::{Deserialize, Serialize};

use super::{
    fleet::Deviation,
    kinds::{IncidentType, Severity},
};

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// A fixed threshold, for heartbeats without counts and for plugins too new for a model.
    Rule,
    /// The model of the plugin's own rate.
    Model,
    /// The lack of heartbeats.
    Silence,
    /// What all plugins say of a release together.
    Fleet,
}

/// The numbers behind a finding, for people and for the record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who says it.
    pub detector: Detector,
    /// When it began, as far as can be told, in seconds since 1970.
    pub since: i64,
    /// What is seen: a share failing, errors an hour, errors in 24 h, milliseconds, seconds of
    /// silence, or nats against a release.
    pub observed: f64,
    /// What this plugin usually shows, in the same unit; for a rule, its threshold.
    pub expected: f64,
    /// Failures an hour above the usual; absent where failures are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess_per_hour: Option<f64>,
}

/// Something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub incident_type: IncidentType,
    /// How bad: effect times exposure, not how sure.
    pub severity: Severity,
    /// The probability that it is real, 0 to 1.
    pub confidence: f64,
    /// Why.
    pub evidence: Evidence,
}

/// What one observation leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Illnesses that this observation shows for the first time.
    pub opened: Vec<Finding>,
    /// Illnesses that were known and go on, with the evidence of now.
    pub continuing: Vec<Finding>,
    /// Illnesses that are over: the plugin is as it was before.
    pub recovered: Vec<IncidentType>,
    /// Illnesses that have gone on for so long that they count as usual from now on. Nothing got better; the detector
    /// only watches for what is worse still.
    pub settled: Vec<IncidentType>,
    /// For the fleet detector: what was seen beside what was expected.
    pub deviation: Deviation,
}

impl Findings {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.continuing.is_empty() && self.recovered.is_empty() && self.settled.is_empty()
    }

    /// What is wrong now, new or known.
    pub fn ill(&self) -> impl Iterator<Item = &Finding> {
        self.opened.iter().chain(&self.continuing)
    }
}
