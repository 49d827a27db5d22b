//! What is found across the fleet (`fleet_findings`), and whom it concerns.

use jiff::Timestamp;
use plugmend_shared::{
    detect::fleet::{AGAINST, BLAME, FEWEST},
    ids::{MerchantId, PluginId},
};
use serde_json::Value;

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// A version that was found worse than its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// Of which product.
    pub product: String,
    /// Which version.
    pub version: String,
    /// On which platform; empty: wherever it runs.
    pub platform: String,
    /// How many plugins speak against it.
    pub plugins: i64,
}

/// Stores what the plugins' words come to, and gives what is new: by platform and, where no single platform is to blame,
/// wherever a version runs. A finding goes on while enough of them speak against the version, and ends a day after.
///
/// # Errors
/// When the database fails.
pub async fn blame(tx: &mut Tx, confidence: f64, now: Timestamp) -> Result<Vec<Blamed>, StoreError> {
    let found = sqlx::query_as!(
        Blamed,
        r#"WITH words AS (
             SELECT plugin.product, plugin.plugin_version AS version, plugin.cms AS platform, detector.word
             FROM plugin_detectors detector JOIN merchant_plugins plugin ON plugin.id = detector.plugin_id
             WHERE detector.word IS NOT NULL AND plugin.product IS NOT NULL
           ), worse AS (
             SELECT product, version, coalesce(platform, '') AS platform, count(*) FILTER (WHERE word >= $1) AS plugins
             FROM words GROUP BY GROUPING SETS ((product, version, platform), (product, version))
             HAVING sum(word) >= $2 AND count(*) FILTER (WHERE word >= $1) >= $3
           ), blamed AS (
             SELECT * FROM worse
             WHERE platform <> '' OR NOT EXISTS (
               SELECT 1 FROM worse AS one
               WHERE (one.product, one.version) = (worse.product, worse.version) AND one.platform <> '')
           ), stored AS (
             INSERT INTO fleet_findings (product, version, platform, confidence, found_at, last_evidence_at)
             SELECT product, version, platform, $4, $5, $5 FROM blamed
             ON CONFLICT (product, version, platform) WHERE ended_at IS NULL
             DO UPDATE SET last_evidence_at = excluded.last_evidence_at
             RETURNING product, version, platform, found_at = last_evidence_at AS is_new
           )
           SELECT stored.product AS "product!", stored.version AS "version!", stored.platform AS "platform!",
             blamed.plugins AS "plugins!"
           FROM stored JOIN blamed USING (product, version, platform) WHERE stored.is_new"#,
        AGAINST,
        BLAME,
        i64::from(FEWEST),
        confidence,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE fleet_findings SET ended_at = $1 WHERE ended_at IS NULL AND last_evidence_at + interval '24 hours' < $1",
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(found)
}

/// A plugin that a blamed release makes ill, and that nobody looks after yet.
#[derive(Debug, Clone)]
pub struct Affected {
    /// Whose.
    pub merchant_id: MerchantId,
    /// Which.
    pub plugin_id: PluginId,
    /// The version that it runs, which is to blame.
    pub version: String,
    /// When it changed to it, where that is known.
    pub changed_at: Option<Timestamp>,
    /// What its own numbers say against the version, in nats.
    pub word: f64,
    /// That the version is really bad, 0 to 1.
    pub confidence: f64,
    /// When it was found.
    pub found_at: Timestamp,
    /// Its last heartbeat.
    pub last_report: Option<Value>,
}

/// At most `limit` plugins that run a blamed release and whose own numbers speak against it, without an incident that shows
/// in numbers; held until the transaction ends, those that others hold left out.
///
/// # Errors
/// When the database fails.
pub async fn lock_affected(tx: &mut Tx, limit: i64) -> Result<Vec<Affected>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT plugin.id, plugin.merchant_id, plugin.plugin_version, plugin.telemetry AS "telemetry?",
             detector.word AS "word!", finding.confidence, finding.found_at AS "found_at: SqlTimestamp",
             (SELECT max(change.at) FROM plugin_version_changes change
              WHERE change.plugin_id = plugin.id AND change.to_version = plugin.plugin_version)
               AS "changed_at?: SqlTimestamp"
           FROM plugin_detectors detector
           JOIN merchant_plugins plugin ON plugin.id = detector.plugin_id
           CROSS JOIN LATERAL (
             SELECT confidence, found_at FROM fleet_findings
             WHERE product = plugin.product AND version = plugin.plugin_version AND platform IN ('', plugin.cms)
               AND ended_at IS NULL
             ORDER BY confidence DESC, platform LIMIT 1) AS finding
           WHERE detector.word >= $1 AND plugin.status IN ('active', 'error', 'pending_update')
             AND NOT detector.ill && '{webhook_fail_rate,error_spike,telemetry_anomaly}'
           ORDER BY plugin.id LIMIT $2 FOR NO KEY UPDATE OF plugin SKIP LOCKED"#,
        AGAINST,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    let affected = rows.into_iter().map(|row| Affected {
        merchant_id: row.merchant_id.into(),
        plugin_id: row.id.into(),
        version: row.plugin_version,
        changed_at: row.changed_at.map(SqlTimestamp::to_jiff),
        word: row.word,
        confidence: row.confidence,
        found_at: row.found_at.to_jiff(),
        last_report: row.telemetry,
    });
    Ok(affected.collect())
}

/// Keeps that plugins, whose rows are held, are ill by the release that they run: until their own numbers no longer speak
/// against it.
///
/// # Errors
/// When the database fails.
pub async fn mark_affected(tx: &mut Tx, plugins: &[PluginId], now: Timestamp) -> Result<(), StoreError> {
    let ids: Vec<_> = plugins.iter().map(|id| id.0).collect();
    sqlx::query!(
        "UPDATE plugin_detectors SET ill = ill || 'telemetry_anomaly'::text, updated_at = $2
         WHERE plugin_id = ANY ($1) AND NOT 'telemetry_anomaly' = ANY (ill)",
        &ids,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
