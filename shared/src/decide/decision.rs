//! The answer: `plugin_incidents.sira_decision`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Action, Method};

/// What was decided, in the reference system's names, and beside them what the design adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The version to install (`patch`) or to go back to (`rollback`; none: the one before, whatever it is).
    #[serde(default)]
    pub patch_version: Option<semver::Version>,
    /// The version that runs, as the plugin reports it.
    pub current_version: String,
    /// The probability, 0 to 1, that the action works; for `notify_ops` and `no_action`, that nothing better was at
    /// hand.
    pub confidence: f64,
    /// The probability, 0 to 1, that the incident is real; unknown to an external decider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_real: Option<f64>,
    /// Why, in words for people.
    pub explanation: String,
    /// What it will cost the shop, in words for people or as an object.
    #[serde(default)]
    pub estimated_impact: Option<Value>,
    /// How it is to be carried out; none for `notify_ops` and `no_action`.
    #[serde(default)]
    pub method: Option<Method>,
    /// The settings to set, for `config_fix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
}
