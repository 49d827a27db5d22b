//! Orders, newest first.

use plugmend_shared::ids::{MerchantId, PluginId};

use super::place;
use crate::{
    domain::page::Cursor,
    store::{Db, SqlTimestamp, StoreError, command::OrderView},
};

/// Which orders.
#[derive(Debug, Clone, Default)]
pub struct CommandFilter {
    /// To this plugin.
    pub plugin_id: Option<PluginId>,
    /// Of this status.
    pub status: Option<String>,
    /// Of this type.
    pub command_type: Option<String>,
    /// To this merchant's plugins.
    pub merchant_id: Option<MerchantId>,
    /// Older than this one.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: i64,
}

/// Orders, newest first.
///
/// # Errors
/// When the database fails.
pub async fn commands(db: &Db, filter: &CommandFilter) -> Result<Vec<OrderView>, StoreError> {
    let (at, id) = place(filter.after);
    let found = sqlx::query_file_as!(
        OrderView,
        "src/store/lists/commands.sql",
        filter.plugin_id.map(|id| id.0),
        filter.status,
        filter.command_type,
        filter.merchant_id.map(|id| id.0),
        at as _,
        id,
        filter.limit
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(found)
}
