//! `POST /api/plugins/heartbeat`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::command::{Command, HealthPolicy};
use crate::{
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
}

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
pub struct HeartbeatAnswer {
    /// Always true; failures are problems (RFC 9457).
    pub ok: bool,
    /// Orders that wait for this plugin.
    #[serde(default)]
    pub commands: Vec<Command>,
    /// How the control plane wants this agent to behave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
}

/// Settings that the control plane may tune. Each is clamped by the agent to a range that can do no harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Seconds between heartbeats; the agent clamps it to 1..=3600.
    pub heartbeat_interval_s: u32,
    /// How a changed plugin is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthPolicy>,
}
