//! Incidents (`plugin_incidents`).

mod claim;
mod row;
mod view;

use jiff::Timestamp;
use plugmend_shared::{
    detect::Finding,
    ids::{MerchantId, PluginId},
};
use serde_json::Value;
use uuid::Uuid;

use self::row::IncidentRow;
use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::incident::{Incident, Status};

pub use claim::{Lease, claim};
pub use view::{IncidentView, view};

/// An incident to be opened.
#[derive(Debug, Clone)]
pub struct NewIncident {
    /// Which plugin.
    pub plugin_id: PluginId,
    /// What is wrong.
    pub finding: Finding,
    /// The telemetry that showed it.
    pub snapshot: Value,
    /// What runs there.
    pub version: String,
}

/// An incident that is held, with what else is stored of it.
#[derive(Debug, Clone)]
pub struct Held {
    /// What decisions need.
    pub incident: Incident,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// That it is real, 0 to 1.
    pub confidence: Option<f64>,
    /// Whether the detectors still hold the plugin for ill in this way.
    pub still_ill: bool,
    /// When the last evidence came.
    pub last_evidence_at: Option<Timestamp>,
}

/// Opens an incident, unless a live one of its kind is there; its id. Waits for nobody who holds or changes one: it looks
/// first, because an insert that meets a row which is being changed would wait for whoever does so.
///
/// # Errors
/// When the database fails.
pub async fn open(tx: &mut Tx, new: &NewIncident, now: Timestamp) -> Result<Option<Uuid>, StoreError> {
    let began = Timestamp::from_second(new.finding.evidence.since)
        .unwrap_or(now)
        .min(now);
    let id = sqlx::query_scalar!(
        "INSERT INTO plugin_incidents
           (merchant_plugin_id, incident_type, severity, detected_at, telemetry_snapshot, status, confidence,
            plugin_version, began_at, last_evidence_at, status_since, next_look_at, created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, 'open', $6, $7, $8, $4, $4, $4, $4, $4
         WHERE NOT EXISTS (
           SELECT 1 FROM plugin_incidents
           WHERE merchant_plugin_id = $1 AND incident_type = $2 AND status <> 'closed' AND duplicate_of IS NULL)
         ON CONFLICT (merchant_plugin_id, incident_type) WHERE status <> 'closed' AND duplicate_of IS NULL DO NOTHING
         RETURNING id",
        new.plugin_id.0,
        new.finding.incident_type.as_str(),
        new.finding.severity.as_str(),
        now.to_sqlx() as _,
        new.snapshot,
        new.finding.confidence,
        new.version,
        began.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id)
}

/// The live incidents of plugins whose rows are held; those that somebody works on are left to them.
///
/// # Errors
/// When the database fails.
pub async fn lock_live(tx: &mut Tx, plugin_ids: &[Uuid]) -> Result<Vec<Incident>, StoreError> {
    let rows = sqlx::query_as!(
        IncidentRow,
        r#"SELECT id, merchant_plugin_id, incident_type, severity, status,
             coalesce(status_since, updated_at) AS "status_since!: SqlTimestamp",
             detected_at AS "detected_at: SqlTimestamp"
           FROM plugin_incidents
           WHERE merchant_plugin_id = ANY ($1) AND status <> 'closed' AND duplicate_of IS NULL
           FOR UPDATE SKIP LOCKED"#,
        plugin_ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Incident::try_from).collect()
}

/// Adds evidence to an incident that is held: the worst severity counts, and the latest telemetry. One that the
/// reference system left behind is looked at from now on.
///
/// # Errors
/// When the database fails.
pub async fn add_evidence(
    tx: &mut Tx,
    id: Uuid,
    finding: &Finding,
    snapshot: &Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_incidents
         SET evidence_count = evidence_count + 1, last_evidence_at = $4, telemetry_snapshot = $3, updated_at = $4,
             severity = CASE WHEN plugmend_severity_rank($2) > plugmend_severity_rank(severity) THEN $2
                        ELSE severity END,
             confidence = greatest(confidence, $5), next_look_at = coalesce(next_look_at, $4)
         WHERE id = $1",
        id,
        finding.severity.as_str(),
        snapshot,
        now.to_sqlx() as _,
        finding.confidence,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Has the live incidents of plugins looked at soon, where nobody does so already: something got better.
///
/// # Errors
/// When the database fails.
pub async fn nudge(tx: &mut Tx, plugin_ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH free AS (
           SELECT id FROM plugin_incidents
           WHERE merchant_plugin_id = ANY ($1) AND status <> 'closed' AND duplicate_of IS NULL
           FOR UPDATE SKIP LOCKED)
         UPDATE plugin_incidents SET next_look_at = 'epoch', updated_at = updated_at
         FROM free WHERE plugin_incidents.id = free.id",
        plugin_ids
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("SELECT pg_notify('plugmend_healing', '')")
        .fetch_one(&mut **tx)
        .await?;
    Ok(())
}

/// One incident, held until the transaction ends.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Held>, StoreError> {
    lock_if(tx, id, None).await
}

/// The same; with a token, only while the claim with it stands.
async fn lock_if(tx: &mut Tx, id: Uuid, token: Option<Uuid>) -> Result<Option<Held>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT incident.id, incident.merchant_plugin_id, incident.incident_type, incident.severity, incident.status,
             coalesce(incident.status_since, incident.updated_at) AS "status_since!: SqlTimestamp",
             incident.detected_at AS "detected_at: SqlTimestamp", plugin.merchant_id, incident.confidence,
             incident.last_evidence_at AS "last_evidence_at: SqlTimestamp",
             -- What people opened by hand, people close.
             (incident.confidence IS NULL
              OR coalesce((SELECT incident.incident_type = ANY (detector.ill) FROM plugin_detectors detector
                           WHERE detector.plugin_id = incident.merchant_plugin_id), true)) AS "still_ill!"
           FROM plugin_incidents incident JOIN merchant_plugins plugin ON plugin.id = incident.merchant_plugin_id
           WHERE incident.id = $1 AND ($2::uuid IS NULL OR incident.lease_by = $2) FOR UPDATE OF incident"#,
        id,
        token
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (merchant_id, confidence, still_ill) = (row.merchant_id.into(), row.confidence, row.still_ill);
    let last_evidence_at = row.last_evidence_at.map(SqlTimestamp::to_jiff);
    let incident = IncidentRow {
        id: row.id,
        merchant_plugin_id: row.merchant_plugin_id,
        incident_type: row.incident_type,
        severity: row.severity,
        status: row.status,
        status_since: row.status_since,
        detected_at: row.detected_at,
    };
    Ok(Some(Held {
        incident: incident.try_into()?,
        merchant_id,
        confidence,
        still_ill,
        last_evidence_at,
    }))
}

/// Whether another open incident of the same plugin is decided about first: the one that was seen earlier, or says more.
///
/// # Errors
/// When the database fails.
pub async fn waits_behind(tx: &mut Tx, incident: &Incident) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"WITH kinds (kind) AS (SELECT ARRAY['signature_invalid', 'version_incompatibility', 'config_drift',
             'webhook_fail_rate', 'error_spike', 'telemetry_anomaly', 'heartbeat_missed'])
           SELECT EXISTS (
             SELECT 1 FROM plugin_incidents other, kinds
             WHERE other.merchant_plugin_id = $1 AND other.id <> $2 AND other.duplicate_of IS NULL
               AND other.status = 'open' AND other.sira_decision IS NULL AND other.next_look_at IS NOT NULL
               AND (other.detected_at, array_position(kind, other.incident_type), other.id)
                 < ($3, array_position(kind, $4), $2)) AS "found!""#,
        incident.plugin_id.0,
        incident.id,
        incident.detected_at.to_sqlx() as _,
        incident.incident_type.as_str(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found)
}

/// What a transition writes beside the status.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// When it is to be looked at next.
    pub next_look_at: Option<Timestamp>,
    /// Why people are called.
    pub escalation_reason: Option<String>,
    /// How it ended.
    pub resolution: Option<&'static str>,
}

/// Moves an incident, provided it still stands where it was read. Frees its lease.
///
/// # Errors
/// [`StoreError::Stale`] when it does not.
pub async fn transition(
    tx: &mut Tx,
    id: Uuid,
    from: Status,
    to: Status,
    change: &Change,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE plugin_incidents
         SET status = $3, status_since = $4, next_look_at = $5, lease_until = NULL, lease_by = NULL, updated_at = $4,
             escalated_to_ops = escalated_to_ops OR $3 = 'escalated',
             escalated_at = CASE WHEN $3 = 'escalated' THEN $4 ELSE escalated_at END,
             escalation_reason = coalesce($6, escalation_reason), resolution = coalesce($7, resolution)
         WHERE id = $1 AND status = $2",
        id,
        from.as_str(),
        to.as_str(),
        now.to_sqlx() as _,
        change.next_look_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        change.escalation_reason,
        change.resolution,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the incident" })
    }
}

/// Has an incident that is held looked at again at `at`, and frees its lease.
///
/// # Errors
/// When the database fails.
pub async fn look_again(tx: &mut Tx, id: Uuid, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_incidents SET next_look_at = $2, lease_until = NULL, lease_by = NULL, updated_at = updated_at
         WHERE id = $1 AND status <> 'closed'",
        id,
        at.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps why an incident that is held is with people now.
///
/// # Errors
/// When the database fails.
pub async fn keep_reason(tx: &mut Tx, id: Uuid, reason: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_incidents SET escalation_reason = $2 WHERE id = $1",
        id,
        reason
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps what was decided last, as people and the reference system see it.
///
/// # Errors
/// When the database fails.
pub async fn keep_decision(tx: &mut Tx, id: Uuid, decision: &Value) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_incidents SET sira_decision = $2 WHERE id = $1",
        id,
        decision
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
