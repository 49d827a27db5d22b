//! Attempts, newest first.

use plugmend_shared::ids::{MerchantId, PluginId};
use uuid::Uuid;

use super::place;
use crate::{
    domain::page::Cursor,
    store::{Db, SqlTimestamp, StoreError, attempt::AttemptView},
};

/// Which attempts.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Of this status.
    pub status: Option<String>,
    /// By this method.
    pub method: Option<String>,
    /// On this plugin.
    pub plugin_id: Option<PluginId>,
    /// For this incident.
    pub incident_id: Option<Uuid>,
    /// On this merchant's plugins.
    pub merchant_id: Option<MerchantId>,
    /// Only those that wait for people.
    pub awaiting_approval: bool,
    /// Older than this one.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: i64,
    /// Without so many of the newest.
    pub offset: i64,
}

/// Attempts, newest first.
///
/// # Errors
/// When the database fails.
pub async fn attempts(db: &Db, filter: &AttemptFilter) -> Result<Vec<AttemptView>, StoreError> {
    let (at, id) = place(filter.after);
    let found = sqlx::query_file_as!(
        AttemptView,
        "src/store/lists/attempts.sql",
        filter.status,
        filter.method,
        filter.plugin_id.map(|id| id.0),
        filter.incident_id,
        filter.merchant_id.map(|id| id.0),
        filter.awaiting_approval,
        at as _,
        id,
        filter.limit,
        filter.offset
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(found)
}
