//! The audit trail, newest first.

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::Value;
use uuid::Uuid;

use super::place;
use crate::{
    domain::page::Cursor,
    store::{Db, SqlTimestamp, StoreError},
};

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By this one, as `actor_id` has it.
    pub actor: Option<String>,
    /// By this kind: `merchant`, `ops`, `sira` or `system`.
    pub actor_type: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this plugin.
    pub plugin_id: Option<PluginId>,
    /// About this merchant.
    pub merchant_id: Option<MerchantId>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Older than this one.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: i64,
}

/// An entry of the trail.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_audit, as they are")]
pub struct AuditRow {
    pub id: Uuid,
    pub merchant_id: Option<Uuid>,
    pub merchant_plugin_id: Option<Uuid>,
    pub actor_id: Option<String>,
    pub actor_type: String,
    pub action: String,
    pub details: Value,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: SqlTimestamp,
    /// Its place in the tree that proves the trail; none until it is sealed.
    pub place: Option<i64>,
}

/// Entries, newest first.
///
/// # Errors
/// When the database fails.
pub async fn audit(db: &Db, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
    let (at, id) = place(filter.after);
    let found = sqlx::query_file_as!(
        AuditRow,
        "src/store/lists/audit.sql",
        filter.actor,
        filter.actor_type,
        filter.action,
        filter.plugin_id.map(|id| id.0),
        filter.merchant_id.map(|id| id.0),
        filter.since.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        filter.until.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        at as _,
        id,
        filter.limit
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(found)
}
