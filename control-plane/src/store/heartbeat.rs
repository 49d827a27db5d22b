//! What a batch of heartbeats reads and writes: a few statements for hundreds of plugins.

use std::collections::HashSet;

use jiff::Timestamp;
use plugmend_shared::{
    ids::{BootId, MerchantId, PluginId},
    telemetry::Window,
};
use subtle::{Choice, ConstantTimeEq as _};
use uuid::Uuid;

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::heartbeat::LastHeard;

/// What must be known of a plugin to take its heartbeat.
#[derive(Debug, Clone)]
pub struct Known {
    /// Which.
    pub id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Whether an agent looks after it.
    pub agent_managed: bool,
    /// What it declares it can do without one.
    pub capabilities: Vec<String>,
    /// What is installed; unknown for plugins of the reference system.
    pub product: Option<String>,
    /// The platform.
    pub cms: String,
    /// The version of the last heartbeat taken.
    pub version: String,
    /// The last heartbeat taken.
    pub last: LastHeard,
    secrets: Secrets,
}

#[derive(Debug, Clone, Default)]
struct Secrets {
    current: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
    previous_until: Option<Timestamp>,
}

impl Known {
    /// Whether a keyed hash is that of the plugin's secret, or of the one before while both are taken. Takes the same
    /// time whatever differs.
    pub fn has_secret(&self, hash: &[u8; 32], now: Timestamp) -> bool {
        let equals = |stored: &Option<Vec<u8>>| {
            stored
                .as_ref()
                .map_or(Choice::from(0), |stored| stored.as_slice().ct_eq(hash.as_slice()))
        };
        let overlap = Choice::from(u8::from(self.secrets.previous_until.is_some_and(|until| now < until)));
        bool::from(equals(&self.secrets.current) | (equals(&self.secrets.previous) & overlap))
    }
}

/// How long a batch waits for a row that somebody else holds beside the plugins' own, in milliseconds.
const PATIENCE_MS: &str = "3000";

/// The plugins among `ids` that exist and that nobody else holds, held until the transaction ends, in the order of their
/// ids. A batch waits for no plugin: one row in the hands of a person who went for a coffee would hold up hundreds.
///
/// # Errors
/// When the database fails.
pub async fn lock_free(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Known>, StoreError> {
    sqlx::query_scalar!("SELECT set_config('lock_timeout', $1, true)", PATIENCE_MS)
        .fetch_one(&mut **tx)
        .await?;
    let rows = sqlx::query!(
        r#"SELECT id, merchant_id, agent_managed, capabilities, product, cms, plugin_version, heartbeat_boot_id, heartbeat_seq,
             heartbeat_sent_at AS "heartbeat_sent_at: SqlTimestamp", secret_hash, secret_previous_hash,
             secret_previous_until AS "secret_previous_until: SqlTimestamp"
           FROM merchant_plugins WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"#,
        ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Known {
            id: row.id.into(),
            merchant_id: row.merchant_id.into(),
            agent_managed: row.agent_managed,
            capabilities: row.capabilities,
            product: row.product,
            cms: row.cms,
            version: row.plugin_version,
            last: LastHeard {
                boot_id: row.heartbeat_boot_id.map(BootId),
                seq: row.heartbeat_seq.and_then(|seq| u64::try_from(seq).ok()),
                sent_at: row.heartbeat_sent_at.map(SqlTimestamp::to_jiff),
            },
            secrets: Secrets {
                current: row.secret_hash,
                previous: row.secret_previous_hash,
                previous_until: row.secret_previous_until.map(SqlTimestamp::to_jiff),
            },
        })
        .collect())
}

/// Which of `ids` there are, whoever holds them.
///
/// # Errors
/// When the database fails.
pub async fn existing(tx: &mut Tx, ids: &[Uuid]) -> Result<HashSet<PluginId>, StoreError> {
    let found = sqlx::query_scalar!("SELECT id FROM merchant_plugins WHERE id = ANY ($1)", ids)
        .fetch_all(&mut **tx)
        .await?;
    Ok(found.into_iter().map(PluginId).collect())
}

/// Windows of many plugins, column by column.
#[derive(Debug, Default)]
pub struct Windows {
    merchant_ids: Vec<Uuid>,
    plugin_ids: Vec<Uuid>,
    from: Vec<SqlTimestamp>,
    to: Vec<SqlTimestamp>,
    seq: Vec<i64>,
    requests: Vec<i64>,
    errors: Vec<i64>,
    webhook_total: Vec<i64>,
    webhook_failed: Vec<i64>,
    dropped: Vec<i64>,
    latency: Vec<Option<String>>,
    custom: Vec<Option<String>>,
}

impl Windows {
    /// Adds one.
    pub fn push(&mut self, merchant_id: MerchantId, plugin_id: PluginId, window: &Window) {
        // Checked before: every count fits.
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.merchant_ids.push(merchant_id.0);
        self.plugin_ids.push(plugin_id.0);
        self.from.push(window.from.to_sqlx());
        self.to.push(window.to.to_sqlx());
        self.seq.push(count(window.seq));
        self.requests.push(count(window.requests));
        self.errors.push(count(window.errors));
        self.webhook_total.push(count(window.webhook_total));
        self.webhook_failed.push(count(window.webhook_failed));
        self.dropped.push(count(window.dropped));
        self.latency
            .push(window.latency.and_then(|latency| serde_json::to_string(&latency).ok()));
        let custom = (!window.custom.is_empty())
            .then(|| serde_json::to_string(&window.custom).ok())
            .flatten();
        self.custom.push(custom);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.seq.is_empty()
    }
}

/// Appends windows; those that are there already are left alone.
///
/// # Errors
/// When the database fails, or a day has no partition.
pub async fn append_windows(tx: &mut Tx, windows: &Windows, now: Timestamp) -> Result<(), StoreError> {
    if windows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO plugin_telemetry
           (merchant_id, plugin_id, window_from, window_to, seq, requests, errors, webhook_total, webhook_failed,
            dropped, latency, custom, received_at)
         SELECT merchant_id, plugin_id, window_from, window_to, seq, requests, errors, webhook_total, webhook_failed,
                dropped, latency::jsonb, custom::jsonb, $13
         FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[],
                     $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[])
           AS t (merchant_id, plugin_id, window_from, window_to, seq, requests, errors, webhook_total, webhook_failed,
                 dropped, latency, custom)
         ON CONFLICT DO NOTHING",
        &windows.merchant_ids,
        &windows.plugin_ids,
        &windows.from as _,
        &windows.to as _,
        &windows.seq,
        &windows.requests,
        &windows.errors,
        &windows.webhook_total,
        &windows.webhook_failed,
        &windows.dropped,
        &windows.latency as _,
        &windows.custom as _,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The latest state of many plugins, column by column; at most one row a plugin.
#[derive(Debug, Default)]
pub struct Latest {
    ids: Vec<Uuid>,
    versions: Vec<String>,
    telemetry: Vec<String>,
    errors: Vec<i32>,
    boot_ids: Vec<Option<Uuid>>,
    seqs: Vec<Option<i64>>,
    sent_at: Vec<SqlTimestamp>,
}

impl Latest {
    /// Adds one plugin's: the version it runs, its report as JSON text, its errors in 24 hours.
    pub fn push(&mut self, id: PluginId, version: &str, telemetry: String, errors_24h: u64, heard: LastHeard) {
        self.ids.push(id.0);
        self.versions.push(version.to_owned());
        self.telemetry.push(telemetry);
        self.errors.push(i32::try_from(errors_24h).unwrap_or(i32::MAX));
        self.boot_ids.push(heard.boot_id.map(|id| id.0));
        self.seqs.push(heard.seq.and_then(|seq| i64::try_from(seq).ok()));
        self.sent_at.push(heard.sent_at.unwrap_or_default().to_sqlx());
    }
}

/// Replaces the latest state of plugins whose rows are held. No indexed column changes, so the rows stay in their
/// pages (HOT).
///
/// # Errors
/// When the database fails.
pub async fn update_latest(tx: &mut Tx, latest: &Latest, now: Timestamp) -> Result<(), StoreError> {
    if latest.ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE merchant_plugins AS plugin
         SET plugin_version = t.version, telemetry = t.telemetry::jsonb, error_count_24h = t.errors,
             heartbeat_boot_id = t.boot_id, heartbeat_seq = t.seq, heartbeat_sent_at = t.sent_at,
             last_heartbeat = $8, heard = true, updated_at = $8
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::uuid[], $6::bigint[], $7::timestamptz[])
           AS t (id, version, telemetry, errors, boot_id, seq, sent_at)
         WHERE plugin.id = t.id",
        &latest.ids,
        &latest.versions,
        &latest.telemetry,
        &latest.errors,
        &latest.boot_ids as _,
        &latest.seqs as _,
        &latest.sent_at as _,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Replaces what a plugin declares it can do without an agent.
///
/// # Errors
/// When the database fails.
pub async fn update_capabilities(tx: &mut Tx, id: PluginId, capabilities: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE merchant_plugins SET capabilities = $2 WHERE id = $1",
        id.0,
        capabilities
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
