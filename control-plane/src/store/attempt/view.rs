//! Attempts as people see them.

use serde_json::Value;
use uuid::Uuid;

use super::super::SqlTimestamp;

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
