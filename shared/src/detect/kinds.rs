//! What can be wrong, and how bad it is: the names of the reference schema.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that names nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no known name; see the reference schema")]
pub struct UnknownName(pub String);

/// What is wrong (`plugin_incidents.incident_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentType {
    /// No sign of life.
    HeartbeatMissed,
    /// Webhook deliveries fail.
    WebhookFailRate,
    /// More errors than this plugin has.
    ErrorSpike,
    /// Installed files differ from the signed manifest.
    SignatureInvalid,
    /// The version does not fit its surroundings.
    VersionIncompatibility,
    /// A managed setting was changed.
    ConfigDrift,
    /// Something else left its usual course: requests take longer.
    TelemetryAnomaly,
}

impl IncidentType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HeartbeatMissed,
        Self::WebhookFailRate,
        Self::ErrorSpike,
        Self::SignatureInvalid,
        Self::VersionIncompatibility,
        Self::ConfigDrift,
        Self::TelemetryAnomaly,
    ];

    /// Its name on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeartbeatMissed => "heartbeat_missed",
            Self::WebhookFailRate => "webhook_fail_rate",
            Self::ErrorSpike => "error_spike",
            Self::SignatureInvalid => "signature_invalid",
            Self::VersionIncompatibility => "version_incompatibility",
            Self::ConfigDrift => "config_drift",
            Self::TelemetryAnomaly => "telemetry_anomaly",
        }
    }
}

impl fmt::Display for IncidentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IncidentType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// How bad it is (`plugin_incidents.severity`), in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Hardly felt.
    Low,
    /// Felt; what heals by itself under the default policy.
    Medium,
    /// Customers or money are hit: a person agrees first.
    High,
    /// The shop stands still, or somebody changed its files.
    Critical,
}

impl Severity {
    /// All of them, in rising order.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its name on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|severity| severity.as_str() == text);
        found.ok_or_else(|| UnknownName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_text_and_json() {
        for kind in IncidentType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        for severity in Severity::ALL {
            assert_eq!(severity.as_str().parse(), Ok(severity));
            assert_eq!(serde_json::to_string(&severity).unwrap(), format!("\"{severity}\""));
        }
        assert!("bad_release".parse::<IncidentType>().is_err());
        assert!(Severity::Low < Severity::Critical);
    }
}
