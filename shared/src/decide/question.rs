//! What is asked: the reference system's SIRA request. What the built-in model needs beyond its fields is in
//! `historical_data`; an external decider sees the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Experience, Method};
use crate::{
    bundle::manifest::{Compatibility, Impact, SettingKey, Undo},
    detect::{IncidentType, Severity},
    ids::{Digest, MerchantId, PluginId, Product},
    protocol::command::CommandKind,
};

/// The most releases that are looked at.
pub const MAX_RELEASES: usize = 200;
/// The most version changes that are looked at.
pub const MAX_CHANGES: usize = 20;
/// The most findings about the fleet that are looked at.
pub const MAX_FINDINGS: usize = 50;
/// The most remedies that are looked at.
pub const MAX_REMEDIES: usize = 50;
/// The most earlier attempts that are looked at.
pub const MAX_PAST: usize = 50;
/// The most tallies that are looked at.
pub const MAX_TALLIES: usize = 2000;

/// An incident and everything that a decision about it may rest on. Stored with the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Whose shop.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// The telemetry that showed the incident; without what looks like a secret.
    pub telemetry: Map<String, Value>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub incident_type: IncidentType,
    /// The version that runs, as the plugin reports it.
    pub current_version: String,
    /// What happened before, here and elsewhere.
    pub historical_data: History,
}

/// What happened before, here and elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When it was asked: the decision's clock.
    pub asked_at: Timestamp,
    /// When the incident was detected.
    pub detected_at: Timestamp,
    /// When the trouble began, as far as the detector can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// How sure the detector is that it is real, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_real: Option<f64>,
    /// What is installed; unknown for plugins of the reference system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// `woocommerce`, ...
    pub platform: String,
    /// Versions of what it runs on, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The orders that it can carry out.
    #[serde(default)]
    pub capabilities: Vec<CommandKind>,
    /// Releases of the product, and how they stand.
    #[serde(default)]
    pub releases: Vec<KnownRelease>,
    /// Changes of this plugin's version, newest first.
    #[serde(default)]
    pub version_changes: Vec<VersionChange>,
    /// What the fleet detector says about versions of this product.
    #[serde(default)]
    pub fleet: Vec<FleetFinding>,
    /// How others with the product are doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Peers>,
    /// What may be set from afar, as the signed manifest of the installed release says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settable: BTreeMap<String, SettingKey>,
    /// Settings that may help.
    #[serde(default)]
    pub remedies: Vec<Remedy>,
    /// Cures that were tried on this plugin, newest first.
    #[serde(default)]
    pub attempts: Vec<PastAttempt>,
    /// What was learned from outcomes.
    #[serde(default)]
    pub experience: Experience,
}

impl Standing {
    /// Why a release that stands so may not be installed; none when it may.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Offered => None,
            Self::Blocked => Some("blocked by ops"),
            Self::Revoked => Some("revoked"),
            Self::Withdrawn => Some("no longer signed"),
            Self::Quarantined => Some("quarantined, because it failed before"),
        }
    }
}

/// A release of the product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownRelease {
    /// Its version.
    pub version: semver::Version,
    /// Its name.
    pub digest: Digest,
    /// How it stands.
    pub standing: Standing,
    /// How much a mistake in it could cost.
    pub impact: Impact,
    /// Incident types that it claims to cure.
    #[serde(default)]
    pub fixes: Vec<String>,
    /// What it runs on and what it can follow.
    #[serde(default)]
    pub compat: Compatibility,
    /// Whether going back from it needs more than the code.
    #[serde(default)]
    pub undo: Undo,
}

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Signed, and may be installed.
    Offered,
    /// Blocked by ops.
    Blocked,
    /// Revoked by the holders of release keys.
    Revoked,
    /// No longer signed.
    Withdrawn,
    /// It failed, here or on so many plugins that nobody should have it.
    Quarantined,
}

/// A change of the plugin's version, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionChange {
    /// When it was first heard of.
    pub at: Timestamp,
    /// The version before.
    pub from: String,
    /// The version since.
    pub to: String,
}

/// A version that does worse than its siblings across the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetFinding {
    /// Which version.
    pub version: String,
    /// On which platform; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// How sure the detector is, 0 to 1.
    pub confidence: f64,
    /// Since when.
    pub since: Timestamp,
}

/// How other plugins with the same product and platform are doing, at the moment of the question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// Others with the same version.
    pub same_version: u32,
    /// Those among them with an incident of the same type within a day.
    pub same_version_ill: u32,
    /// Others with another version.
    pub other_versions: u32,
    /// Those among them with an incident of the same type within a day.
    pub other_versions_ill: u32,
}

/// Where a remedy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedySource {
    /// The signed manifest of the installed release names it for this type of incident.
    Declared,
    /// It is what the settings were last set to here.
    Managed,
    /// It helped elsewhere, with this product and type of incident.
    Learned,
}

/// Settings that may help. Only keys that the signed manifest lets be set from afar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// Its name: the digest of the settings, shortened.
    pub id: String,
    /// Where it comes from.
    pub source: RemedySource,
    /// What to set.
    pub settings: Map<String, Value>,
}

/// A cure that was tried on this plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// How.
    pub method: Method,
    /// From which version.
    pub from: String,
    /// To which version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// By which remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How it ended.
    pub outcome: PastOutcome,
    /// When.
    pub at: Timestamp,
}

/// How an earlier cure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastOutcome {
    /// It worked.
    Success,
    /// It was not carried out, or did not work.
    Failed,
    /// It was taken back.
    RolledBack,
}

impl Remedy {
    /// The name of some settings.
    pub fn name_of(settings: &Map<String, Value>) -> String {
        let sorted: BTreeMap<&String, &Value> = settings.iter().collect();
        Digest::of(&serde_json::to_vec(&sorted).unwrap_or_default()).short()
    }
}

impl Question {
    /// The version that runs, when it can be read.
    pub fn current(&self) -> Option<semver::Version> {
        semver::Version::parse(&self.current_version).ok()
    }

    /// A number out of the telemetry.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.telemetry
            .get(field)
            .and_then(Value::as_f64)
            .filter(|n| n.is_finite())
    }

    /// The release of a version.
    pub fn release(&self, version: &semver::Version) -> Option<&KnownRelease> {
        self.historical_data.releases.iter().find(|r| r.version == *version)
    }

    /// Whether an order can be carried out.
    pub fn can(&self, kind: CommandKind) -> bool {
        self.historical_data.capabilities.contains(&kind)
    }
}
