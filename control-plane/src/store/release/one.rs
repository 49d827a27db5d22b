//! One release with everything that is known of it.

use jiff::Timestamp;
use plugmend_shared::ids::{Digest, Product};
use serde_json::Value;

use super::super::{Db, SqlTimestamp, StoreError};

/// One release with everything that is known of it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of releases, as they are")]
pub struct ReleaseFound {
    pub product: String,
    pub version: String,
    pub digest: Digest,
    pub impact: String,
    pub fixes: Vec<String>,
    pub undo: String,
    pub approvals_required: i32,
    pub files: i32,
    pub bytes: i64,
    pub pack_bytes: i64,
    /// The manifest without its files.
    pub manifest: Value,
    pub published_at: Timestamp,
    pub blocked_at: Option<Timestamp>,
    pub blocked_by: Option<String>,
    pub blocked_reason: Option<String>,
    /// When its revocation was signed.
    pub revoked_at: Option<Timestamp>,
    pub revoked_reason: Option<String>,
    /// Since when it is no longer among the signed releases.
    pub withdrawn_at: Option<Timestamp>,
    /// From how many plugins it is kept.
    pub quarantined_on: i64,
    /// Whether it is kept from everybody.
    pub quarantined_everywhere: bool,
}

/// One release by its name.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn find(db: &Db, product: &Product, version: &semver::Version) -> Result<Option<ReleaseFound>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT product, version, digest, impact, fixes, undo, approvals_required, files, bytes, pack_bytes, manifest,
             published_at AS "published_at: SqlTimestamp", blocked_at AS "blocked_at: SqlTimestamp", blocked_by,
             blocked_reason, revoked_at AS "revoked_at: SqlTimestamp", revoked_reason,
             withdrawn_at AS "withdrawn_at: SqlTimestamp",
             (SELECT count(*) FROM release_quarantines quarantine
              WHERE quarantine.release_digest = releases.digest AND quarantine.lifted_at IS NULL
                AND quarantine.plugin_id IS NOT NULL) AS "quarantined_on!",
             EXISTS (SELECT 1 FROM release_quarantines quarantine
              WHERE quarantine.release_digest = releases.digest AND quarantine.lifted_at IS NULL
                AND quarantine.plugin_id IS NULL) AS "quarantined_everywhere!"
           FROM releases WHERE product = $1 AND version = $2"#,
        product.as_str(),
        version.to_string()
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = |at: Option<SqlTimestamp>| at.map(SqlTimestamp::to_jiff);
    Ok(Some(ReleaseFound {
        digest: super::digest(&row.digest)?,
        product: row.product,
        version: row.version,
        impact: row.impact,
        fixes: row.fixes,
        undo: row.undo,
        approvals_required: row.approvals_required,
        files: row.files,
        bytes: row.bytes,
        pack_bytes: row.pack_bytes,
        manifest: row.manifest,
        published_at: row.published_at.to_jiff(),
        blocked_at: at(row.blocked_at),
        blocked_by: row.blocked_by,
        blocked_reason: row.blocked_reason,
        revoked_at: at(row.revoked_at),
        revoked_reason: row.revoked_reason,
        withdrawn_at: at(row.withdrawn_at),
        quarantined_on: row.quarantined_on,
        quarantined_everywhere: row.quarantined_everywhere,
    }))
}
