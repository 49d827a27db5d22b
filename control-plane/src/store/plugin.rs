//! Plugins (`merchant_plugins`).

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId, Product};
use serde_json::Value;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// A plugin to be stored.
#[derive(Debug, Clone)]
pub struct NewPlugin {
    /// Its id.
    pub id: PluginId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What is installed.
    pub product: Option<Product>,
    /// The platform.
    pub cms: String,
    /// The version installed; `unknown` until its first heartbeat.
    pub plugin_version: String,
    /// Whether an agent looks after it.
    pub agent_managed: bool,
    /// What it can carry out without an agent.
    pub capabilities: Vec<String>,
}

/// A plugin as people see it.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its id.
    pub id: PluginId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What is installed; unknown for plugins of the reference system.
    pub product: Option<String>,
    /// The platform.
    pub cms: String,
    /// The version of the last heartbeat.
    pub plugin_version: String,
    /// `active`, `disabled`, ...
    pub status: String,
    /// Whether an agent looks after it.
    pub agent_managed: bool,
    /// What it can carry out without an agent.
    pub capabilities: Vec<String>,
    /// The last heartbeat but its windows.
    pub telemetry: Value,
    /// When it came, by our clock.
    pub last_heartbeat: Option<Timestamp>,
    /// Errors in its last 24 hours.
    pub error_count_24h: i32,
    /// When it was stored.
    pub created_at: Timestamp,
}

struct PluginRow {
    id: uuid::Uuid,
    merchant_id: uuid::Uuid,
    product: Option<String>,
    cms: String,
    plugin_version: String,
    status: String,
    agent_managed: bool,
    capabilities: Vec<String>,
    telemetry: Option<Value>,
    last_heartbeat: Option<SqlTimestamp>,
    error_count_24h: Option<i32>,
    created_at: SqlTimestamp,
}

impl From<PluginRow> for Plugin {
    fn from(row: PluginRow) -> Self {
        Self {
            id: row.id.into(),
            merchant_id: row.merchant_id.into(),
            product: row.product,
            cms: row.cms,
            plugin_version: row.plugin_version,
            status: row.status,
            agent_managed: row.agent_managed,
            capabilities: row.capabilities,
            telemetry: row.telemetry.unwrap_or(Value::Null),
            last_heartbeat: row.last_heartbeat.map(SqlTimestamp::to_jiff),
            error_count_24h: row.error_count_24h.unwrap_or(0),
            created_at: row.created_at.to_jiff(),
        }
    }
}

/// Stores a plugin.
///
/// # Errors
/// [`StoreError::Conflict`] when the id is taken.
pub async fn insert(tx: &mut Tx, plugin: &NewPlugin, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO merchant_plugins
           (id, merchant_id, product, cms, plugin_version, agent_managed, capabilities, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        plugin.id.0,
        plugin.merchant_id.0,
        plugin.product.as_ref().map(Product::as_str),
        plugin.cms,
        plugin.plugin_version,
        plugin.agent_managed,
        &plugin.capabilities,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Says that from now on a new agent looks after the plugin: its secrets end, its product is known, and what was heard
/// last was another's: neither its count nor its clock says what is news now. Orders that another agent had begun are
/// overdue: nobody will end them.
///
/// # Errors
/// [`StoreError::Stale`] when there is no such plugin.
pub async fn hand_to_agent(tx: &mut Tx, id: PluginId, product: &Product, now: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE merchant_plugins
         SET agent_managed = true, product = $2, secret_hash = NULL, secret_previous_hash = NULL,
             secret_previous_until = NULL, heartbeat_boot_id = NULL, heartbeat_seq = NULL, heartbeat_sent_at = NULL
         WHERE id = $1",
        id.0,
        product.as_str()
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::Stale { what: "the plugin" });
    }
    sqlx::query!(
        "UPDATE plugin_agent_commands SET deadline_at = $2
         WHERE merchant_plugin_id = $1 AND status IN ('sent', 'acknowledged', 'executing')",
        id.0,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One plugin, held until the transaction ends: whoever changes what a plugin should do holds its row first.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: PluginId) -> Result<Option<Plugin>, StoreError> {
    let row = sqlx::query_as!(
        PluginRow,
        r#"SELECT id, merchant_id, product, cms, plugin_version, status, agent_managed, capabilities, telemetry,
             last_heartbeat AS "last_heartbeat: SqlTimestamp", error_count_24h AS "error_count_24h?",
             created_at AS "created_at: SqlTimestamp"
           FROM merchant_plugins WHERE id = $1 FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Plugin::from))
}

/// One plugin.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &Db, id: PluginId) -> Result<Option<Plugin>, StoreError> {
    let row = sqlx::query_as!(
        PluginRow,
        r#"SELECT id, merchant_id, product, cms, plugin_version, status, agent_managed, capabilities, telemetry,
             last_heartbeat AS "last_heartbeat: SqlTimestamp", error_count_24h AS "error_count_24h?",
             created_at AS "created_at: SqlTimestamp"
           FROM merchant_plugins WHERE id = $1"#,
        id.0
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(Plugin::from))
}

/// Puts a new plugin secret (its keyed hash) in force; the one before is taken until `overlap_until`.
///
/// # Errors
/// [`StoreError::Stale`] when there is no such plugin, or an agent looks after it.
pub async fn rotate_secret(
    tx: &mut Tx,
    id: PluginId,
    hash: &[u8; 32],
    overlap_until: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE merchant_plugins
         SET secret_previous_hash = secret_hash,
             secret_previous_until = CASE WHEN secret_hash IS NULL THEN NULL ELSE $3::timestamptz END,
             secret_hash = $2
         WHERE id = $1 AND NOT agent_managed",
        id.0,
        hash,
        overlap_until.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the plugin" })
    }
}

/// The plugin without agent whose secret, or whose one before while both are taken, has this keyed hash.
///
/// # Errors
/// When the database fails.
pub async fn find_by_secret(
    db: &Db,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(PluginId, MerchantId)>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, merchant_id FROM merchant_plugins
         WHERE NOT agent_managed
           AND (secret_hash = $1 OR (secret_previous_hash = $1 AND secret_previous_until > $2))",
        hash,
        now.to_sqlx() as _
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| (row.id.into(), row.merchant_id.into())))
}
