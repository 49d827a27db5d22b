//! Answers to writes that carried an `Idempotency-Key`, so that a repeat gets the same answer and does nothing.

use jiff::Timestamp;
use serde_json::Value;

use super::{StoreError, ToSqlx as _, Tx};

/// What was answered to the first request with a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Digest of the request.
    pub request_hash: Vec<u8>,
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Value,
}

/// The earlier answer under `key`, if any. Until the transaction ends, nobody else gets past this with the same key.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, actor: &str, key: &str) -> Result<Option<Remembered>, StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(7584, hashtext($1 || ' ' || $2))",
        actor,
        key
    )
    .execute(&mut **tx)
    .await?;
    let row = sqlx::query!(
        "SELECT request_hash, status, body FROM idempotency_keys WHERE actor = $1 AND key = $2",
        actor,
        key
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Remembered {
        request_hash: row.request_hash,
        status: u16::try_from(row.status).unwrap_or(200),
        body: row.body,
    }))
}

/// Keeps an answer under `key`.
///
/// # Errors
/// When the database fails.
pub async fn remember(
    tx: &mut Tx,
    actor: &str,
    key: &str,
    answer: &Remembered,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (actor, key, request_hash, status, body, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        actor,
        key,
        answer.request_hash,
        i32::from(answer.status),
        answer.body,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets at most `at_most` answers given before `before`; how many it forgot.
///
/// # Errors
/// When the database fails.
pub async fn forget(tx: &mut Tx, before: Timestamp, at_most: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (actor, key) IN
           (SELECT actor, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
        before.to_sqlx() as _,
        at_most
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
