//! One-time enrolment tokens (`enrolment_tokens`).

use jiff::Timestamp;
use plugmend_shared::ids::{Digest, MerchantId, PluginId, Product};
use uuid::Uuid;

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx, certificate::digest};

/// A token to be stored; of its secret only the keyed hash.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// The part that is no secret.
    pub id: Uuid,
    /// Keyed hash of the other part.
    pub secret_hash: [u8; 32],
    /// Whose plugin it makes.
    pub merchant_id: MerchantId,
    /// What is installed there.
    pub product: &'a Product,
    /// The platform.
    pub cms: &'a str,
    /// The plugin to enrol anew; none: a new one is made.
    pub plugin_id: Option<PluginId>,
    /// Who made it.
    pub created_by: &'a str,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A stored token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Keyed hash of its secret.
    pub secret_hash: Vec<u8>,
    /// Whose plugin it makes.
    pub merchant_id: MerchantId,
    /// What is installed there.
    pub product: String,
    /// The platform.
    pub cms: String,
    /// The plugin to enrol anew.
    pub plugin_id: Option<PluginId>,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it was spent on.
    pub spent: Option<Spent>,
}

/// What a token was spent on.
#[derive(Debug, Clone)]
pub struct Spent {
    /// The plugin.
    pub plugin_id: PluginId,
    /// SHA-256 of the public key that was certified.
    pub key: Digest,
}

/// Stores a token.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, token: &NewToken<'_>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO enrolment_tokens
           (id, secret_hash, merchant_id, product, cms, plugin_id, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        token.id,
        &token.secret_hash[..],
        token.merchant_id.0,
        token.product.as_str(),
        token.cms,
        token.plugin_id.map(|id| id.0),
        token.created_by,
        now.to_sqlx() as _,
        token.expires_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One token, held until the transaction ends: of two who spend it, the second waits here and then finds it spent.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Token>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT secret_hash, merchant_id, product, cms, plugin_id, created_by,
             expires_at AS "expires_at: SqlTimestamp", spent_on, spent_key_sha256
           FROM enrolment_tokens WHERE id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let spent = match (row.spent_on, row.spent_key_sha256) {
        (Some(plugin_id), Some(key)) => Some(Spent {
            plugin_id: plugin_id.into(),
            key: digest(&key)?,
        }),
        _ => None,
    };
    Ok(Some(Token {
        secret_hash: row.secret_hash,
        merchant_id: row.merchant_id.into(),
        product: row.product,
        cms: row.cms,
        plugin_id: row.plugin_id.map(PluginId::from),
        created_by: row.created_by,
        expires_at: row.expires_at.to_jiff(),
        spent,
    }))
}

/// Spends a token that is held.
///
/// # Errors
/// [`StoreError::Stale`] when it was spent already.
pub async fn spend(tx: &mut Tx, id: Uuid, on: &Spent, address: &str, now: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE enrolment_tokens SET spent_at = $2, spent_from = $3, spent_on = $4, spent_key_sha256 = $5
         WHERE id = $1 AND spent_at IS NULL",
        id,
        now.to_sqlx() as _,
        address,
        on.plugin_id.0,
        &on.key.0[..],
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale {
            what: "the enrolment token",
        })
    }
}

/// Forgets at most `limit` tokens that were spent or expired before `before`; how many.
///
/// # Errors
/// When the database fails.
pub async fn forget(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM enrolment_tokens WHERE id IN (
           SELECT id FROM enrolment_tokens WHERE expires_at < $1 AND coalesce(spent_at, expires_at) < $1 LIMIT $2)",
        before.to_sqlx() as _,
        limit
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
