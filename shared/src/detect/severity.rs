//! How bad an incident is. `compute_incident_severity` in SQL says the same; one table of cases tests both.

use serde::Serialize;

use super::kinds::{IncidentType, Severity};

/// What is known when an incident is judged; `None` means that nothing is known about it. Serialised, it is the
/// telemetry that the SQL function takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Telemetry {
    /// Errors in the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors_last_24h: Option<f64>,
    /// Share of webhook deliveries that failed, 0 to 1, over the last hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_fail_rate: Option<f64>,
    /// How long nothing was heard, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_since_heartbeat: Option<f64>,
}

/// How bad it is. The promised example holds: 50 errors in 24 hours and a webhook failure rate of 0.6 is `medium`.
pub fn severity(incident_type: IncidentType, telemetry: &Telemetry) -> Severity {
    let errors = telemetry.errors_last_24h.unwrap_or(0.0);
    match incident_type {
        IncidentType::SignatureInvalid => Severity::Critical,
        IncidentType::VersionIncompatibility => Severity::High,
        IncidentType::ConfigDrift => Severity::Low,
        IncidentType::TelemetryAnomaly => Severity::Medium,
        IncidentType::HeartbeatMissed => match telemetry.seconds_since_heartbeat.unwrap_or(0.0) {
            3600.0.. => Severity::High,
            _ => Severity::Medium,
        },
        IncidentType::WebhookFailRate => match telemetry.webhook_fail_rate.unwrap_or(0.0) {
            0.95.. if errors >= 1000.0 => Severity::Critical,
            0.8.. => Severity::High,
            0.3.. => Severity::Medium,
            _ => Severity::Low,
        },
        IncidentType::ErrorSpike => match errors {
            1000.0.. => Severity::Critical,
            200.0.. => Severity::High,
            20.0.. => Severity::Medium,
            _ => Severity::Low,
        },
    }
}
