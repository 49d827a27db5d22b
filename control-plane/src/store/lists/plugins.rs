//! Plugins, by id.

use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::Value;
use uuid::Uuid;

use super::Meant;
use crate::store::{Db, SqlTimestamp, StoreError};

/// Which plugins.
#[derive(Debug, Clone, Default)]
pub struct PluginFilter {
    /// Of this merchant.
    pub merchant_id: Option<MerchantId>,
    /// On this platform.
    pub cms: Option<String>,
    /// Of this product.
    pub product: Option<String>,
    /// In this version.
    pub version: Option<String>,
    /// Of this status.
    pub status: Option<String>,
    /// Doing so now: `healthy`, `ill`, `recovering`, `changing`, `silent`, `unknown` or `off`.
    pub health: Option<String>,
    /// What a text means.
    pub meant: Option<Meant>,
    /// Behind this one.
    pub after: Option<PluginId>,
    /// At most so many.
    pub limit: i64,
}

/// A plugin as lists show it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of merchant_plugins, as they are")]
pub struct PluginSummary {
    pub id: Uuid,
    pub merchant_id: Uuid,
    pub merchant_name: String,
    pub product: Option<String>,
    pub cms: String,
    pub plugin_version: String,
    pub status: String,
    pub agent_managed: bool,
    pub capabilities: Vec<String>,
    pub telemetry: Option<Value>,
    pub last_heartbeat: Option<SqlTimestamp>,
    pub error_count_24h: Option<i32>,
    pub created_at: SqlTimestamp,
    /// How it is doing, in a word.
    pub health: String,
    /// Incidents that are not over.
    pub open_incidents: i64,
}

macro_rules! run {
    ($file:literal, $db:expr, $filter:expr) => {{
        let meant = $filter.meant.as_ref();
        let (first, last) = meant.and_then(|meant| meant.ids).unzip();
        let products: &[String] = meant.map_or(&[], |meant| &meant.products);
        let merchants: &[Uuid] = meant.map_or(&[], |meant| &meant.merchants);
        sqlx::query_file_as!(
            PluginSummary,
            $file,
            $filter.merchant_id.map(|id| id.0),
            $filter.cms,
            $filter.product,
            $filter.version,
            $filter.status,
            $filter.health,
            $filter.after.map(|id| id.0),
            meant.is_some(),
            first,
            last,
            products,
            merchants,
            $filter.limit
        )
        .fetch_all($db.reading_pool())
        .await?
    }};
}

/// Plugins, by id. Those that are not simply well are few, and found from what is the matter with them.
///
/// # Errors
/// When the database fails.
pub async fn plugins(db: &Db, filter: &PluginFilter) -> Result<Vec<PluginSummary>, StoreError> {
    Ok(match filter.health.as_deref() {
        None | Some("healthy") => run!("src/store/lists/plugins.sql", db, filter),
        Some(_) => run!("src/store/lists/plugins_in_need.sql", db, filter),
    })
}
