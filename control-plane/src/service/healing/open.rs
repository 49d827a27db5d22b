//! Evidence becomes incidents, in the transaction that took the heartbeat.

use jiff::Timestamp;
use plugmend_shared::{
    detect::{Finding, IncidentType},
    ids::{MerchantId, PluginId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::tell::About;
use crate::{
    domain::{
        event::EventKind,
        incident::{Evidence, Incident, Status, on_evidence},
    },
    store::{
        StoreError, Tx,
        audit::Actor,
        incident::{self, Change, NewIncident},
    },
};

/// What was seen of one plugin whose row is held.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Whose.
    pub merchant_id: MerchantId,
    /// Which.
    pub plugin_id: PluginId,
    /// What runs there.
    pub version: String,
    /// What is wrong now, new or known.
    pub findings: Vec<Finding>,
    /// What got better.
    pub recovered: Vec<IncidentType>,
    /// The telemetry that shows it.
    pub snapshot: Value,
}

/// Opens incidents, adds evidence to those that are open, and has those looked at that got better. Rows that somebody
/// works on are left to them: their next look sees what the detectors remember.
///
/// # Errors
/// When the database fails.
pub async fn observe(tx: &mut Tx, observed: &[Observed], now: Timestamp) -> Result<(), StoreError> {
    let ill: Vec<&Observed> = observed.iter().filter(|one| !one.findings.is_empty()).collect();
    if !ill.is_empty() {
        let ids: Vec<Uuid> = ill.iter().map(|one| one.plugin_id.0).collect();
        let live = incident::lock_live(tx, &ids).await?;
        for one in ill {
            for finding in &one.findings {
                let known = live.iter().find(|incident| {
                    incident.plugin_id == one.plugin_id && incident.incident_type == finding.incident_type
                });
                take(tx, one, finding, known, now).await?;
            }
        }
    }
    let better: Vec<Uuid> = observed
        .iter()
        .filter(|one| !one.recovered.is_empty())
        .map(|one| one.plugin_id.0)
        .collect();
    if !better.is_empty() {
        incident::nudge(tx, &better).await?;
    }
    Ok(())
}

async fn take(
    tx: &mut Tx,
    one: &Observed,
    finding: &Finding,
    known: Option<&Incident>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let observed_from = Timestamp::from_second(finding.evidence.since).ok();
    match (on_evidence(known, observed_from, now), known) {
        (Evidence::Adds, Some(incident)) => {
            return incident::add_evidence(tx, incident.id, finding, &one.snapshot, now).await;
        }
        (Evidence::Relapse, Some(incident)) => {
            let over = Change {
                resolution: Some("relapsed"),
                ..Change::default()
            };
            incident::transition(tx, incident.id, Status::Mitigated, Status::Closed, &over, now).await?;
            let details = json!({ "incident_id": incident.id, "resolution": "relapsed" });
            about(one).audit(tx, &Actor::System, "incident_closed", details).await?;
        }
        _ => {}
    }
    let new = NewIncident {
        plugin_id: one.plugin_id,
        finding: *finding,
        snapshot: one.snapshot.clone(),
        version: one.version.clone(),
    };
    if let Some(id) = incident::open(tx, &new, now).await? {
        let data = json!({
            "incident_id": id, "incident_type": finding.incident_type, "severity": finding.severity,
            "confidence": finding.confidence, "detected_at": now, "plugin_version": one.version,
            "evidence": finding.evidence,
        });
        about(one)
            .audit(tx, &Actor::System, "incident_opened", data.clone())
            .await?;
        about(one).event(tx, EventKind::IncidentCreated, data).await?;
    }
    Ok(())
}

fn about(one: &Observed) -> About {
    About {
        merchant_id: one.merchant_id,
        plugin_id: one.plugin_id,
    }
}
