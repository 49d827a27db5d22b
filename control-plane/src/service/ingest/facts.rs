//! What a heartbeat states as a fact: no model has to guess it.

use std::collections::{BTreeMap, BTreeSet};

use plugmend_shared::{
    bundle::{fit::Misfit, manifest::Compatibility},
    detect::{Detector, Evidence, Finding, IncidentType, Telemetry, severity},
    protocol::heartbeat::Heartbeat,
    telemetry::Window,
};
use serde_json::Value;

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

/// A finding that is no guess.
pub(super) fn certain(incident_type: IncidentType, since: i64, count: usize) -> Finding {
    #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
    let observed = count as f64;
    Finding {
        incident_type,
        severity: severity(incident_type, &Telemetry::default()),
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
