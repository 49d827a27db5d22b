//! What a heartbeat states as a fact: no model has to guess it.

use std::collections::{BTreeMap, BTreeSet};

use plugmend_shared::{
    bundle::{fit::Misfit, manifest::Compatibility},
    detect::{Detector, Evidence, Finding, Harm, IncidentType, Severity, Telemetry, Thresholds, severity},
    protocol::heartbeat::Heartbeat,
    telemetry::Window,
};
use serde_json::Value;

/// What our own detectors say when it is over, or the agent's when it has begun.
pub(super) const MODELLED: [IncidentType; 3] = [
    IncidentType::WebhookFailRate,
    IncidentType::ErrorSpike,
    IncidentType::TelemetryAnomaly,
];

/// What a heartbeat states as a fact; for each, the finding, or none where all is well. What it does not speak of is not
/// in the list.
pub(super) fn facts(heartbeat: &Heartbeat, limit: Option<&Compatibility>) -> Vec<(IncidentType, Option<Finding>)> {
    let mut facts = Vec::new();
    if let Some(integrity) = &heartbeat.integrity {
        let differing = integrity.differing.len().max(1);
        let finding = (!integrity.intact).then(|| {
            let since = integrity.checked_at.as_second();
            certain(IncidentType::SignatureInvalid, since, differing)
        });
        facts.push((IncidentType::SignatureInvalid, finding));
    }
    if let Some(settings) = &heartbeat.settings {
        let since = settings.checked_at.as_second();
        let drifted = settings.drifted.len().max(1);
        let is_drifted = settings.managed_sha256 != settings.found_sha256 || !settings.drifted.is_empty();
        let finding = is_drifted.then(|| certain(IncidentType::ConfigDrift, since, drifted));
        facts.push((IncidentType::ConfigDrift, finding));
    }
    if let Some(limit) = limit {
        let environment = environment(heartbeat);
        let misfit = matches!(limit.runs_on(&environment), Err(Misfit::Environment { .. }));
        let since = heartbeat.timestamp.as_second();
        let finding = misfit.then(|| certain(IncidentType::VersionIncompatibility, since, 1));
        facts.push((IncidentType::VersionIncompatibility, finding));
    }
    facts
}

/// Whether the errors of a time are its failing webhooks, give or take a few: one illness, told twice.
fn are_failing_webhooks<'a>(windows: impl Iterator<Item = &'a Window>) -> bool {
    let (mut errors, mut failed) = (0_u64, 0_u64);
    for window in windows {
        errors = errors.saturating_add(window.errors);
        failed = failed.saturating_add(window.webhook_failed);
    }
    failed > 0 && errors <= failed.saturating_add(failed / 4).saturating_add(3)
}

/// Leaves out errors that are nothing but failing webhooks: one illness, one finding.
pub(super) fn once(
    findings: &mut BTreeMap<IncidentType, Finding>,
    (ill, recovered): (&BTreeSet<IncidentType>, &BTreeSet<IncidentType>),
    heartbeats: &[&Heartbeat],
) {
    const WEBHOOKS: IncidentType = IncidentType::WebhookFailRate;
    let fail = findings.contains_key(&WEBHOOKS) || ill.contains(&WEBHOOKS) && !recovered.contains(&WEBHOOKS);
    let windows = heartbeats.iter().flat_map(|heartbeat| &heartbeat.windows);
    if fail && !ill.contains(&IncidentType::ErrorSpike) && are_failing_webhooks(windows) {
        findings.remove(&IncidentType::ErrorSpike);
    }
}

/// What the agent's own detector found, of the kinds that it looks for; how bad that is, is not taken from it.
pub(super) fn early<'a>(heartbeat: &'a Heartbeat, limits: &'a Thresholds) -> impl Iterator<Item = Finding> + 'a {
    let modelled = |finding: &&Finding| MODELLED.contains(&finding.incident_type);
    heartbeat.early.iter().filter(modelled).map(|finding| Finding {
        severity: severity_of_early(finding.incident_type, &finding.evidence, heartbeat, limits),
        ..*finding
    })
}

/// How bad it is by its own numbers beside those of the heartbeat; by the rule, where they say nothing of the traffic.
fn severity_of_early(
    incident_type: IncidentType,
    evidence: &Evidence,
    heartbeat: &Heartbeat,
    limits: &Thresholds,
) -> Severity {
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let errors = heartbeat.errors_last_24h as f64;
    let lasted_s = heartbeat.timestamp.as_second().saturating_sub(evidence.since).max(0);
    #[expect(clippy::cast_precision_loss, reason = "a span far below 2^52 s")]
    let lasted_s = lasted_s as f64;
    let now = match incident_type {
        IncidentType::WebhookFailRate => Some(evidence.observed),
        IncidentType::ErrorSpike => evidence
            .excess_per_hour
            .zip(requests_per_hour(heartbeat))
            .map(|(a, b)| a / b),
        _ => None,
    };
    let failing = now.zip(evidence.excess_per_hour).map(|(now, per_hour)| {
        let now = now.clamp(0.0, 1.0);
        let of_last_hour = now * (lasted_s / 3600.0).min(1.0);
        let last_hour = match incident_type {
            IncidentType::WebhookFailRate => heartbeat.webhook_fail_rate.unwrap_or(of_last_hour),
            _ => of_last_hour,
        };
        Harm::Failing {
            now,
            last_hour,
            per_hour,
            lasted_s,
        }
    });
    let times = evidence.observed / evidence.expected;
    let slower =
        (incident_type == IncidentType::TelemetryAnomaly && times.is_finite()).then_some(Harm::Slower { times });
    let telemetry = Telemetry {
        errors_last_24h: Some(errors),
        webhook_fail_rate: heartbeat.webhook_fail_rate,
        harm: failing.or(slower),
        ..Telemetry::default()
    };
    severity(incident_type, &telemetry, limits)
}

/// By the window that was closed last, where it served anybody.
fn requests_per_hour(heartbeat: &Heartbeat) -> Option<f64> {
    let window = heartbeat.windows.last().filter(|window| window.requests > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a window")]
    let requests = window.requests as f64;
    Some(requests * 3600.0 / window.length().as_secs_f64().max(1.0))
}

/// A finding that is no guess.
pub(super) fn certain(incident_type: IncidentType, since: i64, count: usize) -> Finding {
    #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
    let observed = count as f64;
    Finding {
        incident_type,
        severity: severity(incident_type, &Telemetry::default(), &Thresholds::default()),
        confidence: 1.0,
        evidence: Evidence {
            detector: Detector::Rule,
            since,
            observed,
            expected: 0.0,
            excess_per_hour: None,
        },
    }
}

/// Versions of what the plugin runs on, as it says.
fn environment(heartbeat: &Heartbeat) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    heartbeat
        .env
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(errors: u64, requests: u64) -> Vec<(IncidentType, Severity)> {
        let finding = |incident_type: &str| {
            json!({ "incident_type": incident_type, "severity": "low", "confidence": 0.9, "evidence": {
                "detector": "model", "since": 1_793_491_200, "observed": 90_000.0, "expected": 10.0,
                "excess_per_hour": 90_000.0 } })
        };
        let heartbeat: Heartbeat = serde_json::from_value(json!({
            "plugin_id": "018f3a10-0000-7000-8000-000000000001", "merchant_id": "018f3a10-0000-7000-8000-000000000002",
            "plugin_version": "1.2.2", "env": {}, "errors_last_24h": errors, "uptime": 100,
            "timestamp": "2026-11-01T00:10:00Z", "early": [finding("error_spike"), finding("signature_invalid")],
            "windows": [{ "seq": 1, "from": "2026-11-01T00:08:00Z", "to": "2026-11-01T00:10:00Z", "requests": requests,
                "errors": requests, "webhook_total": 0, "webhook_failed": 0 }],
        }))
        .unwrap();
        early(&heartbeat, &Thresholds::default())
            .map(|one| (one.incident_type, one.severity))
            .collect()
    }

    #[test]
    fn how_bad_an_early_finding_is_is_not_the_agents_to_say() {
        // All of 3,000 requests in two minutes fail, for ten minutes.
        assert_eq!(told(2_000, 3_000), [(IncidentType::ErrorSpike, Severity::Medium)]);
        // Nothing is known of the traffic: the rule.
        assert_eq!(told(2_000, 0), [(IncidentType::ErrorSpike, Severity::Critical)]);
    }
}
