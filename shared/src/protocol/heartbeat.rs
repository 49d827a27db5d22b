//! `POST /api/plugins/heartbeat`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::command::{Command, HealthPolicy};
use crate::{
    detect::{Finding, IncidentType},
    ids::{BootId, Digest, MerchantId, PluginId},
    telemetry::Window,
};

/// One sign of life. The first eight fields are the reference system's and all that an agentless plugin sends; the
/// rest is what an agent adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which installation speaks.
    pub plugin_id: PluginId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// The version it says it runs.
    pub plugin_version: String,
    /// Where it runs: platform, language, their versions.
    #[serde(default)]
    pub env: Map<String, Value>,
    /// Errors in the last 24 hours.
    #[serde(default)]
    pub errors_last_24h: u64,
    /// Share of webhook deliveries that failed, 0 to 1, over the last hour; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_fail_rate: Option<f64>,
    /// Seconds since the plugin (or its agent) started.
    #[serde(default)]
    pub uptime: u64,
    /// The sender's clock when it sent this.
    pub timestamp: Timestamp,

    /// This life of the agent's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<BootId>,
    /// Grows with every heartbeat of a plugin, also through restarts; a repeat is harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Windows closed since the last heartbeat that was answered, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// The agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentReport>,
    /// The machine it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostReport>,
    /// The state of the installed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<IntegrityReport>,
    /// What is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<InstalledReport>,
    /// Managed settings against what is there; absent where no order has set any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<SettingsReport>,
    /// What the agent's own detector found over windows of a few seconds, when this heartbeat goes early because of it;
    /// at most eight. The windows that it carries say the same in counts: this is why they came now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early: Vec<Finding>,
    /// What the agent's own detector holds for ill now, and has within the last half minute; at most eight. Absent from whoever
    /// does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ill: Option<Vec<IncidentType>>,
    /// The newest checkpoint of the audit trail that the agent was given and keeps, as its witness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
}

/// The most findings of the agent's own detector in one heartbeat, and the most illnesses.
pub const MAX_EARLY: usize = 8;

/// The most windows that one heartbeat may carry; the rest of a spool follows in the next.
pub const MAX_WINDOWS: usize = 256;

/// The agent about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// Its own version.
    pub version: String,
    /// Resident memory, in bytes.
    #[serde(default)]
    pub rss_bytes: u64,
    /// Windows that were dropped from a full spool since enrolment.
    #[serde(default)]
    pub spool_dropped: u64,
    /// What of the host's protection could not be had (one uid for agent and plugin, no Landlock, ...), in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reduced_protection: Vec<String>,
}

/// The machine the plugin runs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// Share of the processors in use, 0 to 1.
    pub cpu: f64,
    /// Share of the memory in use, 0 to 1.
    pub memory: f64,
    /// Bytes free where the plugin lies.
    pub disk_free_bytes: u64,
    /// Load average over one minute.
    pub load: f64,
}

/// The installed files against the signed manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrityReport {
    /// When they were last compared.
    pub checked_at: Timestamp,
    /// Whether all of them are as signed.
    pub intact: bool,
    /// Paths that differ, at most 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differing: Vec<String>,
    /// What is wrong with some of them, at most [`MAX_FOUND`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundFile>,
    /// How many there are of each kind in all.
    #[serde(default)]
    pub counts: FoundCounts,
    /// Where on the host a copy of what was found is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Whether changes are seen as they happen; else at the next comparison, at most an hour later.
    #[serde(default)]
    pub watched: bool,
}

/// The most files of which a heartbeat says what is wrong with them.
pub const MAX_FOUND: usize = 50;

/// An installed file that is not as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Where, from the plugin's root.
    pub path: String,
    /// What is wrong.
    pub kind: FoundKind,
    /// Digest of what is there instead; absent when nothing is, when it is no file, or when it is too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// What can be wrong with an installed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundKind {
    /// Its content, kind or right to be run is another.
    Changed,
    /// It is gone.
    Missing,
    /// No release has it: code that was put there.
    Extra,
}

/// How many files are not as signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundCounts {
    /// Changed.
    pub changed: usize,
    /// Missing.
    pub missing: usize,
    /// Too many.
    pub extra: usize,
}

/// The settings that orders have set, against what the settings file says now. Values stay on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsReport {
    /// When they were last compared.
    pub checked_at: Timestamp,
    /// The settings file, from the plugin's root.
    pub file: String,
    /// Digest of what orders have set, key by key, as canonical JSON.
    pub managed_sha256: Digest,
    /// Digest of what these keys hold now; the same when nothing drifted.
    pub found_sha256: Digest,
    /// The keys that hold something else, at most 64 of them: `config_drift`. `config_update` with the wanted values
    /// sets them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drifted: Vec<String>,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstalledReport {
    /// Digest of the release's manifest; absent for an adopted directory (release zero).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `stub`, `exchange` or `symlink`.
    pub layout: String,
}

/// The answer to a heartbeat, given after it was committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatAnswer {
    /// Always true; failures are problems (RFC 9457).
    pub ok: bool,
    /// Orders that wait for this plugin.
    #[serde(default)]
    pub commands: Vec<Command>,
    /// How the control plane wants this agent to behave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// The newest checkpoint of the audit trail, to be kept and shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
}

/// Settings that the control plane may tune. Each is clamped by the agent to a range that can do no harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tuning {
    /// Seconds between heartbeats; the agent clamps it to 1..=3600.
    pub heartbeat_interval_s: u32,
    /// How a changed plugin is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthPolicy>,
}
