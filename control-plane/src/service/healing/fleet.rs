//! A version that is worse than its siblings, across the fleet: a finding of its own, which decisions rest on, and an
//! incident at each plugin that it makes ill, so that all of them are cured and not only the first.

use jiff::Timestamp;
use plugmend_shared::detect::{
    Detector, Evidence, Finding, IncidentType, Telemetry, Thresholds, fleet::AGAINST, severity,
};
use serde_json::{Map, Value, json};

use super::{Observed, observe};
use crate::store::{
    self, Db, StoreError,
    audit::{self, Actor, Entry},
    fleet::Affected,
};

/// That a blamed release is really bad (measured on simulated fleets, no good release was ever blamed).
const CONFIDENCE: f64 = 0.97;

/// Blames the releases that enough plugins speak against, and ends the findings that nothing speaks for any more; how many
/// changed.
///
/// # Errors
/// When the database fails.
pub async fn blame_releases(db: &Db, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let blamed = store::fleet::blame(&mut tx, CONFIDENCE, now).await?;
    for one in &blamed {
        let entry = Entry {
            actor: &Actor::System,
            action: "release_blamed",
            merchant_id: None,
            plugin_id: None,
            details: json!({
                "product": one.product, "version": one.version, "platform": one.platform, "plugins": one.plugins,
                "confidence": CONFIDENCE,
            }),
        };
        audit::log(&mut tx, &entry).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(blamed.len()).unwrap_or(u64::MAX))
}

/// How many plugins one transaction looks after.
const BATCH: i64 = 200;

/// Opens an incident at the plugins that run a blamed release, whose own numbers speak against it, and that have none that
/// shows in numbers yet; how many, and whether there may be more.
///
/// # Errors
/// When the database fails.
pub async fn look_after_affected(db: &Db, now: Timestamp) -> Result<(u64, bool), StoreError> {
    let mut tx = db.begin().await?;
    let affected = store::fleet::lock_affected(&mut tx, BATCH).await?;
    if !affected.is_empty() {
        let ids: Vec<_> = affected.iter().map(|one| one.plugin_id).collect();
        store::fleet::mark_affected(&mut tx, &ids, now).await?;
        let observed: Vec<_> = affected.iter().map(|one| share_of(one, now)).collect();
        observe(&mut tx, &observed, now).await?;
    }
    tx.commit().await?;
    let is_full = i64::try_from(affected.len()).is_ok_and(|count| count >= BATCH);
    Ok((u64::try_from(affected.len()).unwrap_or(u64::MAX), is_full))
}

/// A plugin's share of what is wrong with its release.
fn share_of(one: &Affected, now: Timestamp) -> Observed {
    let incident_type = IncidentType::TelemetryAnomaly;
    let mut snapshot = match &one.last_report {
        Some(Value::Object(report)) => report.clone(),
        _ => Map::new(),
    };
    snapshot.remove("windows");
    snapshot.insert(
        "blamed_release".to_owned(),
        json!({ "version": one.version, "found_at": one.found_at, "confidence": one.confidence }),
    );
    Observed {
        merchant_id: one.merchant_id,
        plugin_id: one.plugin_id,
        version: one.version.clone(),
        findings: vec![Finding {
            incident_type,
            severity: severity(incident_type, &Telemetry::default(), &Thresholds::default()),
            // Its own numbers give the odds that it is one of those that the release hits.
            confidence: one.confidence / (1.0 + (-one.word).exp()),
            evidence: Evidence {
                detector: Detector::Fleet,
                since: one.changed_at.unwrap_or(now).as_second(),
                observed: one.word,
                expected: AGAINST,
                excess_per_hour: None,
            },
        }],
        recovered: Vec::new(),
        snapshot: Value::Object(snapshot),
    }
}
