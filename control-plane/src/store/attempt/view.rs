//! Attempts as people see them.

use serde_json::Value;
use uuid::Uuid;

use super::super::{Db, SqlTimestamp, StoreError};

/// An attempt as people see it: the reference system's columns and what stands beside them.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_autopatch_attempts, as they are")]
pub struct AttemptView {
    pub id: Uuid,
    pub incident_id: Option<Uuid>,
    pub merchant_plugin_id: Uuid,
    pub merchant_id: Uuid,
    pub cms: String,
    pub incident_type: Option<String>,
    pub severity: Option<String>,
    pub from_version: String,
    pub to_version: Option<String>,
    pub method: String,
    pub status: String,
    pub logs: Value,
    pub staging_result: Option<Value>,
    pub production_result: Option<Value>,
    pub executed_by: String,
    pub executed_at: Option<SqlTimestamp>,
    pub rolled_back_at: Option<SqlTimestamp>,
    pub rollback_reason: Option<String>,
    pub approved_by: Value,
    pub requires_approval: bool,
    pub approval_needed: Option<Value>,
    pub end_reason: Option<String>,
    pub command_id: Option<Uuid>,
    pub created_at: SqlTimestamp,
    pub updated_at: SqlTimestamp,
}

/// Attempts of a status, or all; newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, status: Option<&str>, limit: i64) -> Result<Vec<AttemptView>, StoreError> {
    let found = sqlx::query_as!(
        AttemptView,
        r#"SELECT attempt.id, attempt.incident_id, attempt.merchant_plugin_id, plugin.merchant_id, plugin.cms,
             incident.incident_type AS "incident_type?", incident.severity AS "severity?", attempt.from_version,
             attempt.to_version, attempt.method, attempt.status, attempt.logs, attempt.staging_result,
             attempt.production_result, attempt.executed_by, attempt.executed_at AS "executed_at: SqlTimestamp",
             attempt.rolled_back_at AS "rolled_back_at: SqlTimestamp", attempt.rollback_reason, attempt.approved_by,
             attempt.requires_approval, attempt.approval_needed, attempt.end_reason, attempt.command_id,
             attempt.created_at AS "created_at: SqlTimestamp", attempt.updated_at AS "updated_at: SqlTimestamp"
           FROM plugin_autopatch_attempts attempt
           JOIN merchant_plugins plugin ON plugin.id = attempt.merchant_plugin_id
           LEFT JOIN plugin_incidents incident ON incident.id = attempt.incident_id
           WHERE $1::text IS NULL OR attempt.status = $1
           ORDER BY attempt.created_at DESC, attempt.id DESC LIMIT $2"#,
        status,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(found)
}
