//! Incidents as people see them.

use serde_json::Value;
use uuid::Uuid;

use super::super::{Db, SqlTimestamp, StoreError};

/// An incident as people see it: the reference system's columns and what stands beside them.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_incidents_stats, as they are")]
pub struct IncidentView {
    pub id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub merchant_id: Uuid,
    pub cms: String,
    pub plugin_version: String,
    pub incident_type: String,
    pub severity: String,
    pub detected_at: SqlTimestamp,
    pub telemetry_snapshot: Value,
    pub sira_decision: Option<Value>,
    pub status: String,
    pub escalated_to_ops: bool,
    pub escalated_at: Option<SqlTimestamp>,
    pub escalation_reason: Option<String>,
    pub confidence: Option<f64>,
    pub resolution: Option<String>,
    pub attempts_count: i64,
    pub created_at: SqlTimestamp,
    pub updated_at: SqlTimestamp,
}

/// One incident.
///
/// # Errors
/// When the database fails.
pub async fn view(db: &Db, id: Uuid) -> Result<Option<IncidentView>, StoreError> {
    let found = sqlx::query_as!(
        IncidentView,
        r#"SELECT incident.id, incident.merchant_plugin_id, plugin.merchant_id, plugin.cms, plugin.plugin_version,
             incident.incident_type, incident.severity, incident.detected_at AS "detected_at: SqlTimestamp",
             incident.telemetry_snapshot, incident.sira_decision, incident.status, incident.escalated_to_ops,
             incident.escalated_at AS "escalated_at: SqlTimestamp", incident.escalation_reason, incident.confidence,
             incident.resolution,
             (SELECT count(*) FROM plugin_autopatch_attempts attempt WHERE attempt.incident_id = incident.id)
               AS "attempts_count!",
             incident.created_at AS "created_at: SqlTimestamp", incident.updated_at AS "updated_at: SqlTimestamp"
           FROM plugin_incidents incident JOIN merchant_plugins plugin ON plugin.id = incident.merchant_plugin_id
           WHERE incident.id = $1"#,
        id
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(found)
}
