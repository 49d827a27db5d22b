//! Releases, as orders and decisions need them.

mod one;

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use plugmend_shared::{
    bundle::manifest::Compatibility,
    ids::{Digest, PluginId, Product},
};
use serde_json::Value;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};

pub use one::{ReleaseFound, find};

/// The lock that one publisher at a time holds among all replicas; an arbitrary number, used for nothing else.
const PUBLISHER_LOCK: i64 = 0x706c_7567_7265_6c73;

/// A release to be stored.
#[derive(Debug, Clone)]
pub struct NewRelease {
    /// Its product.
    pub product: Product,
    /// Its version.
    pub version: semver::Version,
    /// Its name.
    pub digest: Digest,
    /// `low`, `medium` or `high`.
    pub impact: &'static str,
    /// Incident types that it claims to cure.
    pub fixes: Vec<String>,
    /// `code_only` or `needs_snapshot`.
    pub undo: &'static str,
    /// How many approvers must have signed.
    pub approvals_required: u32,
    /// How many files it has.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many bytes its pack has.
    pub pack_bytes: u64,
    /// The manifest without its files.
    pub manifest: Value,
}

/// What is known of a release's standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub digest: Digest,
    /// Whether its revocation was signed.
    pub revoked: bool,
    /// Whether it was blocked here.
    pub blocked: bool,
    /// Whether it is no longer among the signed releases.
    pub withdrawn: bool,
}

/// A release as people see it.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct ReleaseView {
    /// Its product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub digest: Digest,
    /// `published`, `blocked`, `revoked` or `withdrawn`.
    pub state: &'static str,
    /// How much a mistake in it could cost.
    pub impact: String,
    /// Incident types that it claims to cure.
    pub fixes: Vec<String>,
    /// Whether going back needs more than the code.
    pub undo: String,
    /// How many approvers must have signed.
    pub approvals_required: i32,
    /// How many files it has.
    pub files: i32,
    /// How many bytes they have.
    pub bytes: i64,
    /// How many bytes its pack has.
    pub pack_bytes: i64,
    /// Since when.
    pub published_at: Timestamp,
    /// Why it is blocked or revoked.
    pub reason: Option<String>,
}

/// Waits until no other replica publishes, and keeps it so until the transaction ends.
///
/// # Errors
/// When the database fails or the wait is too long.
pub async fn lock_publisher(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", PUBLISHER_LOCK)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Every release that was ever stored.
///
/// # Errors
/// When the database fails.
pub async fn standings(tx: &mut Tx) -> Result<Vec<Standing>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT product, version, digest, revoked_at IS NOT NULL AS "revoked!",
             blocked_at IS NOT NULL AS "blocked!", withdrawn_at IS NOT NULL AS "withdrawn!" FROM releases"#
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Standing {
                product: row.product,
                version: row.version,
                digest: digest(&row.digest)?,
                revoked: row.revoked,
                blocked: row.blocked,
                withdrawn: row.withdrawn,
            })
        })
        .collect()
}

/// How one release stands; `None` when there is none.
///
/// # Errors
/// When the database fails.
pub async fn standing(
    tx: &mut Tx,
    product: &Product,
    version: &semver::Version,
) -> Result<Option<Standing>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT product, version, digest, revoked_at IS NOT NULL AS "revoked!",
             blocked_at IS NOT NULL AS "blocked!", withdrawn_at IS NOT NULL AS "withdrawn!"
           FROM releases WHERE product = $1 AND version = $2"#,
        product.as_str(),
        version.to_string()
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Standing {
            product: row.product,
            version: row.version,
            digest: digest(&row.digest)?,
            revoked: row.revoked,
            blocked: row.blocked,
            withdrawn: row.withdrawn,
        })
    })
    .transpose()
}

/// Stores a release.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one with this product and version, or this digest.
pub async fn insert(tx: &mut Tx, new: &NewRelease, by: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO releases (product, version, digest, impact, fixes, undo, approvals_required, files, bytes,
           pack_bytes, manifest, published_at, published_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        new.product.as_str(),
        new.version.to_string(),
        &new.digest.0[..],
        new.impact,
        &new.fixes,
        new.undo,
        i32::try_from(new.approvals_required).unwrap_or(i32::MAX),
        i32::try_from(new.files).unwrap_or(i32::MAX),
        i64::try_from(new.bytes).unwrap_or(i64::MAX),
        i64::try_from(new.pack_bytes).unwrap_or(i64::MAX),
        new.manifest,
        now.to_sqlx() as _,
        by
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Sets or clears the signed revocation, and what is said about being among the signed releases.
///
/// # Errors
/// When the database fails.
pub async fn set_signed_standing(
    tx: &mut Tx,
    digest: &Digest,
    revoked: Option<(Timestamp, &str)>,
    withdrawn_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE releases SET revoked_at = $2, revoked_reason = $3, withdrawn_at = $4 WHERE digest = $1",
        &digest.0[..],
        revoked.map(|(at, _)| at.to_sqlx()) as _,
        revoked.map(|(_, reason)| reason),
        withdrawn_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Blocks a release, or lifts the block (`None`); whether there is such a release.
///
/// # Errors
/// When the database fails.
pub async fn set_block(
    tx: &mut Tx,
    product: &Product,
    version: &semver::Version,
    block: Option<(Timestamp, &str, &str)>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE releases SET blocked_at = $3, blocked_reason = $4, blocked_by = $5 WHERE product = $1 AND version = $2",
        product.as_str(),
        version.to_string(),
        block.map(|(at, ..)| at.to_sqlx()) as _,
        block.map(|(_, reason, _)| reason),
        block.map(|(.., by)| by)
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the orders to install a release that were not sent yet; what is on its way is not sent again. Their plugins are
/// held first, in the order in which heartbeats hold them: without that, both wait for each other in a circle.
///
/// # Errors
/// When the database fails.
pub async fn fail_waiting_orders(
    tx: &mut Tx,
    product: &Product,
    version: &semver::Version,
    words: &str,
    now: Timestamp,
) -> Result<Vec<PluginId>, StoreError> {
    sqlx::query_scalar!(
        "SELECT id FROM merchant_plugins WHERE id IN (
           SELECT merchant_plugin_id FROM plugin_agent_commands
           WHERE status IN ('pending', 'sent', 'acknowledged', 'executing') AND command_type IN ('update', 'rollback')
             AND command_payload ->> 'product' = $1 AND command_payload ->> 'version' = $2)
         ORDER BY id FOR NO KEY UPDATE",
        product.as_str(),
        version.to_string()
    )
    .fetch_all(&mut **tx)
    .await?;
    let ended = sqlx::query_scalar!(
        "WITH on_its_way AS (
           UPDATE plugin_agent_commands SET max_retries = retry_count, expires_at = least(expires_at, $4)
           WHERE status IN ('sent', 'acknowledged', 'executing') AND command_type IN ('update', 'rollback')
             AND command_payload ->> 'product' = $1 AND command_payload ->> 'version' = $2)
         UPDATE plugin_agent_commands
         SET status = 'failed', error_message = $3, completed_at = $4, updated_at = $4, next_retry_at = NULL
         WHERE status = 'pending' AND command_type IN ('update', 'rollback')
           AND command_payload ->> 'product' = $1 AND command_payload ->> 'version' = $2
         RETURNING merchant_plugin_id",
        product.as_str(),
        version.to_string(),
        words,
        now.to_sqlx() as _
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ended.into_iter().map(PluginId).collect())
}

/// At most `limit` releases after one, by product and version.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &Db,
    product: Option<&Product>,
    after: Option<(&str, &str)>,
    limit: i64,
) -> Result<Vec<ReleaseView>, StoreError> {
    let (after_product, after_version) = after.unzip();
    let rows = sqlx::query!(
        r#"SELECT product, version, digest, impact, fixes, undo, approvals_required, files, bytes, pack_bytes,
             published_at AS "published_at: SqlTimestamp", revoked_at IS NOT NULL AS "revoked!",
             blocked_at IS NOT NULL AS "blocked!", withdrawn_at IS NOT NULL AS "withdrawn!",
             coalesce(revoked_reason, blocked_reason) AS reason
           FROM releases
           WHERE ($1::text IS NULL OR product = $1)
             AND ($2::text IS NULL OR (product, version) > ($2, $3::text))
           ORDER BY product, version LIMIT $4"#,
        product.map(Product::as_str),
        after_product,
        after_version,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ReleaseView {
                digest: digest(&row.digest)?,
                state: match (row.withdrawn, row.revoked, row.blocked) {
                    (true, ..) => "withdrawn",
                    (_, true, _) => "revoked",
                    (_, _, true) => "blocked",
                    _ => "published",
                },
                product: row.product,
                version: row.version,
                impact: row.impact,
                fixes: row.fixes,
                undo: row.undo,
                approvals_required: row.approvals_required,
                files: row.files,
                bytes: row.bytes,
                pack_bytes: row.pack_bytes,
                published_at: row.published_at.to_jiff(),
                reason: row.reason,
            })
        })
        .collect()
}

/// What releases say about what they run on, for those that say something.
///
/// # Errors
/// When the database fails.
pub async fn compatibilities(
    tx: &mut Tx,
    wanted: &BTreeSet<(String, String)>,
) -> Result<HashMap<(String, String), Compatibility>, StoreError> {
    let (products, versions): (Vec<String>, Vec<String>) = wanted.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"SELECT release.product, release.version, release.manifest -> 'compat' AS "compat!"
           FROM unnest($1::text[], $2::text[]) AS wanted (product, version)
           JOIN releases release USING (product, version)
           WHERE release.manifest -> 'compat' ? 'env'"#,
        &products,
        &versions
    )
    .fetch_all(&mut **tx)
    .await?;
    // One that can not be read says nothing.
    let readable = rows.into_iter().filter_map(|row| {
        let compat = serde_json::from_value(row.compat).ok()?;
        Some(((row.product, row.version), compat))
    });
    Ok(readable.collect())
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|e| StoreError::corrupt("digest of a release", e))?;
    Ok(Digest(bytes))
}
