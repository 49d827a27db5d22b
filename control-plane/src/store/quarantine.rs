//! Releases that failed (`release_quarantines`): on one plugin, or on so many that nobody should have them.

mod view;

use jiff::Timestamp;
use plugmend_shared::ids::{AttemptId, Digest, PluginId};

use super::{StoreError, ToSqlx as _, Tx};

pub use view::{Filter, QuarantineView, lift, list, lock};

/// A release that failed on a plugin.
#[derive(Debug, Clone)]
pub struct Failed<'a> {
    /// Of which product.
    pub product: &'a str,
    /// Which version.
    pub version: &'a str,
    /// Its name.
    pub digest: &'a Digest,
    /// On which plugin.
    pub plugin_id: PluginId,
    /// By which attempt it was found out.
    pub attempt_id: AttemptId,
    /// Why, in words for people.
    pub reason: &'a str,
    /// Whether it speaks against the release elsewhere too: what lies in the host does not.
    pub counts: bool,
}

/// Keeps a release from a plugin that it failed on; on how many it has failed now by its own fault. Two that count at the
/// same time wait for each other.
///
/// # Errors
/// When the database fails.
pub async fn put(tx: &mut Tx, failed: &Failed<'_>, now: Timestamp) -> Result<i64, StoreError> {
    let lock = i64::from_be_bytes(failed.digest.0[..8].try_into().unwrap_or_default());
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", lock)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "INSERT INTO release_quarantines (product, version, release_digest, plugin_id, attempt_id, reason, created_at, counts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (release_digest, plugin_id) WHERE lifted_at IS NULL AND plugin_id IS NOT NULL
         DO UPDATE SET counts = release_quarantines.counts OR excluded.counts",
        failed.product,
        failed.version,
        &failed.digest.0[..],
        failed.plugin_id.0,
        failed.attempt_id.0,
        failed.reason,
        now.to_sqlx() as _,
        failed.counts,
    )
    .execute(&mut **tx)
    .await?;
    let plugins = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM release_quarantines
           WHERE release_digest = $1 AND plugin_id IS NOT NULL AND lifted_at IS NULL AND counts"#,
        &failed.digest.0[..]
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(plugins)
}

/// Keeps a release from everybody; whether that is new.
///
/// # Errors
/// When the database fails.
pub async fn put_everywhere(tx: &mut Tx, failed: &Failed<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO release_quarantines (product, version, release_digest, attempt_id, reason, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (release_digest) WHERE lifted_at IS NULL AND plugin_id IS NULL DO NOTHING",
        failed.product,
        failed.version,
        &failed.digest.0[..],
        failed.attempt_id.0,
        failed.reason,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
