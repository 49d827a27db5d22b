//! What is found across the fleet (`fleet_findings`).

use jiff::Timestamp;
use plugmend_shared::detect::fleet::{AGAINST, BLAME, FEWEST};

use super::{StoreError, ToSqlx as _, Tx};

/// A version that was found worse than its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed {
    /// Of which product.
    pub product: String,
    /// Which version.
    pub version: String,
    /// On which platform.
    pub platform: String,
    /// How many plugins speak against it.
    pub plugins: i64,
}

/// Stores what the plugins' words come to, and gives what is new. A finding goes on while enough of them speak against the
/// version, and ends with the last that watches its change.
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
           ), blamed AS (
             SELECT product, version, platform, count(*) FILTER (WHERE word >= $1) AS plugins
             FROM words GROUP BY product, version, platform
             HAVING sum(word) >= $2 AND count(*) FILTER (WHERE word >= $1) >= $3
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
