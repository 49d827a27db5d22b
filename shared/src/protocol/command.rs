//! Orders to one plugin, and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    generation::Generation,
    ids::{AttemptId, CommandId, Digest, Product},
};

/// One order, as it travels with a heartbeat's answer or a long poll's. The same id with the same generation is the
/// same order (a duplicate: answer with the stored result); the same id with a higher generation is a new try at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// Its id: the same id twice is the same order.
    pub id: CommandId,
    /// What to do.
    #[serde(rename = "type")]
    pub kind: CommandKind,
    /// With what.
    pub payload: CommandPayload,
}

/// `plugin_agent_commands.command_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Install the release named in the payload.
    Update,
    /// Go back to the release named in the payload, or to the one before when none is named.
    Rollback,
    /// Change settings that the signed manifest lets be changed from afar.
    ConfigUpdate,
    /// Run the probes now and report.
    HealthCheck,
    /// Run the host's reload hook.
    Restart,
}

impl CommandKind {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::ConfigUpdate => "config_update",
            Self::HealthCheck => "health_check",
            Self::Restart => "restart",
        }
    }
}

/// `plugin_agent_commands.command_payload`. Fields that a kind has no use for are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandPayload {
    /// The product the order is about; an agent refuses any but its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// The version to install or to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub version: Option<semver::Version>,
    /// Digest of that release's manifest: an order binds content, not a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_digest: Option<Digest>,
    /// New values of settings, for `config_update`; null takes away a setting that an order has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The attempt it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<AttemptId>,
    /// Assigned at dispatch; an agent refuses a lower one than it has seen.
    #[serde(default)]
    pub generation: Generation,
    /// An update to the installed version lays it out anew from verified content, also when every file is as signed:
    /// `reinstall`. Without it that is done where a file is not as signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reinstall: bool,
    /// Seconds from receipt until the order is void (a duration, so that a wrong clock on the host does no harm).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Signatures of approvers over [`crate::bundle::approval`]'s statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalSignature>,
    /// How the change is watched; absent means the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthPolicy>,
}

/// One approver's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalSignature {
    /// The key, as named in the signed metadata.
    pub keyid: String,
    /// Ed25519 signature (RFC 8032), hexadecimal.
    pub sig: String,
    /// When the approval ends, seconds since the epoch; part of what was signed.
    pub expires: i64,
}

/// How a changed plugin is watched. The names are those of `ops_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthPolicy {
    /// How long the trial lasts, in seconds.
    pub health_check_timeout_seconds: u32,
    /// Time between two probes, in seconds.
    pub health_check_interval_seconds: u32,
    /// Share of failing requests, 0 to 1, above which the change is taken back when it was also better before.
    pub auto_rollback_on_error_rate_threshold: f64,
    /// Silence of a plugin that spoke before the swap, in seconds, after which the change is taken back.
    pub auto_rollback_on_heartbeat_missed_seconds: u32,
    /// How long an inconclusive trial is watched on, in seconds.
    #[serde(default = "default_extended_watch")]
    pub extended_watch_seconds: u32,
}

fn default_extended_watch() -> u32 {
    1800
}

impl HealthPolicy {
    /// The same within bounds that can do no harm: a slip of the pen may not keep a plugin on trial for ever.
    #[must_use]
    pub fn clamped(self) -> Self {
        let threshold = self.auto_rollback_on_error_rate_threshold;
        Self {
            health_check_timeout_seconds: self.health_check_timeout_seconds.min(3600),
            health_check_interval_seconds: self.health_check_interval_seconds.clamp(1, 3600),
            auto_rollback_on_error_rate_threshold: if threshold.is_finite() {
                threshold.clamp(0.0, 1.0)
            } else {
                0.10
            },
            auto_rollback_on_heartbeat_missed_seconds: self.auto_rollback_on_heartbeat_missed_seconds.min(3600),
            extended_watch_seconds: self.extended_watch_seconds.min(7200),
        }
    }
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            health_check_timeout_seconds: 90,
            health_check_interval_seconds: 3,
            auto_rollback_on_error_rate_threshold: 0.10,
            auto_rollback_on_heartbeat_missed_seconds: 120,
            extended_watch_seconds: default_extended_watch(),
        }
    }
}

/// `GET /api/plugins/commands`: the answer to a long poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandList {
    /// Orders that wait; empty when none came in time.
    pub commands: Vec<Command>,
}

/// `POST /api/plugins/commands/:id/progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How far the order has come.
    pub state: ProgressState,
    /// The engine's step, say `fetch` or `trial`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The same in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Share done, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<f64>,
    /// Of the try that is meant; absent means the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
}

/// What `progress` may say; the ends are said by `ack` and `fail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressState {
    /// In the agent's hands, and remembered there.
    Acknowledged,
    /// Begun.
    Executing,
}

/// `POST /api/plugins/commands/:id/ack`: the order was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ack {
    /// How it went; [`Outcome`] from our agent, anything from an agentless plugin.
    #[serde(default)]
    pub result: Value,
    /// Of the try that is meant; absent means the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
}

/// `POST /api/plugins/commands/:id/fail`: the order was not carried out, or was taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fail {
    /// A code and words, `code: words`.
    pub error: String,
    /// Whether trying again could help; false once a release was quarantined, say. Absent means it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// How it went, as far as it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Of the try that is meant; absent means the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
}

/// `GET /api/plugins/commands/:id/go`: an agent asks once more right before it activates a change, so that a kill switch
/// thrown meanwhile still counts. What has begun after that is not cut short; a way back does not ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Go {
    /// Whether the order still stands. When not, the agent leaves the plugin as it is and fails the order as
    /// `withdrawn`, which is not tried again.
    pub go: bool,
    /// Why not, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What our agent says about an order it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: OutcomeStatus,
    /// What is installed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<semver::Version>,
    /// Its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_digest: Option<Digest>,
    /// What was installed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_version: Option<semver::Version>,
    /// Verdict of the trial: true healthy, false unhealthy, absent inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_passed: Option<bool>,
    /// Share of failing requests before the change, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate_before: Option<f64>,
    /// The same since the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate_after: Option<f64>,
    /// What the settings held before they were changed, null for those that were not there: with this the change can be
    /// undone by another `config_update`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_before: Option<Map<String, Value>>,
    /// Bytes fetched for it, release metadata aside.
    #[serde(default)]
    pub bytes_fetched: u64,
    /// How long each step took, in ms, by its name.
    #[serde(default)]
    pub timings_ms: std::collections::BTreeMap<String, u64>,
    /// In words for people.
    #[serde(default)]
    pub explanation: String,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// Done, and kept.
    Committed,
    /// Done, then taken back: the version before runs again.
    Reverted,
    /// It was already so; nothing was touched.
    Unchanged,
    /// Not done; nothing was touched.
    Refused,
}
