//! Incidents, newest first.

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use uuid::Uuid;

use super::{Meant, place};
use crate::{
    domain::page::Cursor,
    store::{Db, SqlTimestamp, StoreError, incident::IncidentView},
};

/// Which incidents.
#[derive(Debug, Clone, Default)]
pub struct IncidentFilter {
    /// Of this status.
    pub status: Option<String>,
    /// Of this severity.
    pub severity: Option<String>,
    /// Of this type.
    pub incident_type: Option<String>,
    /// Of this plugin.
    pub plugin_id: Option<PluginId>,
    /// Of this merchant's plugins.
    pub merchant_id: Option<MerchantId>,
    /// Detected at this moment or later.
    pub since: Option<Timestamp>,
    /// Detected before.
    pub until: Option<Timestamp>,
    /// What a text means.
    pub meant: Option<Meant>,
    /// Older than this one.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: i64,
    /// Without so many of the newest.
    pub offset: i64,
}

/// Incidents, newest first.
///
/// # Errors
/// When the database fails.
pub async fn incidents(db: &Db, filter: &IncidentFilter) -> Result<Vec<IncidentView>, StoreError> {
    let (at, id) = place(filter.after);
    let meant = filter.meant.as_ref();
    let (first, last) = meant.and_then(|meant| meant.ids).unzip();
    let merchants: &[Uuid] = meant.map_or(&[], |meant| &meant.merchants);
    let found = sqlx::query_file_as!(
        IncidentView,
        "src/store/lists/incidents.sql",
        filter.status,
        filter.severity,
        filter.incident_type,
        filter.plugin_id.map(|id| id.0),
        filter.merchant_id.map(|id| id.0),
        filter.since.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        filter.until.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        at as _,
        id,
        meant.is_some(),
        first,
        last,
        merchants,
        filter.limit,
        filter.offset
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(found)
}
