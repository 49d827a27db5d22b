//! Receivers of webhooks (`merchant_webhooks`, `ops_webhooks`).

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// A receiver to be stored.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its id.
    pub id: Uuid,
    /// Whose; none: ops'.
    pub merchant_id: Option<MerchantId>,
    /// Which events; `*` is every one.
    pub event_type: String,
    /// Where.
    pub url: String,
    /// The key of its signatures, encrypted.
    pub secret: String,
    /// Where else, when that fails.
    pub failover_url: Option<String>,
    /// How it wants to be tried again.
    pub retry_config: Value,
}

/// A receiver as people see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the columns of merchant_webhooks, as they are")]
pub struct WebhookView {
    pub id: Uuid,
    pub merchant_id: Option<Uuid>,
    pub event_type: String,
    pub url: String,
    pub status: String,
    pub last_success_at: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    pub failure_count: i32,
    pub success_count: i32,
    pub avg_response_time_ms: Option<i32>,
    pub failover_url: Option<String>,
    pub retry_config: Value,
    /// Deliveries that wait for it.
    pub waiting: i64,
    /// Until when it is left in peace after failures.
    pub rests_until: Option<Timestamp>,
}

/// What is needed to send.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub url: String,
    /// Where else, when that fails.
    pub failover_url: Option<String>,
    /// The key of its signatures, as it is stored.
    pub secret: String,
    /// How it wants to be tried again.
    pub retry_config: Value,
    /// `active`, `disabled` or `error`.
    pub status: String,
}

/// Stores one.
///
/// # Errors
/// [`StoreError::Conflict`] when the same events go there already.
pub async fn insert(tx: &mut Tx, new: &NewWebhook) -> Result<(), StoreError> {
    match new.merchant_id {
        Some(merchant_id) => sqlx::query!(
            "INSERT INTO merchant_webhooks (id, merchant_id, event_type, url, secret, failover_url, retry_config)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            new.id,
            merchant_id.0,
            new.event_type,
            new.url,
            new.secret,
            new.failover_url,
            new.retry_config
        )
        .execute(&mut **tx),
        None => sqlx::query!(
            "INSERT INTO ops_webhooks (id, event_type, url, secret, failover_url, retry_config)
             VALUES ($1, $2, $3, $4, $5, $6)",
            new.id,
            new.event_type,
            new.url,
            new.secret,
            new.failover_url,
            new.retry_config
        )
        .execute(&mut **tx),
    }
    .await?;
    Ok(())
}

/// Receivers in the order of their ids, after `after`, of one merchant or of all.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &Db,
    merchant_id: Option<MerchantId>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<WebhookView>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT hook.id AS "id!", merchant_id, event_type AS "event_type!", url AS "url!", status AS "status!",
             last_success_at AS "last_success_at: SqlTimestamp", last_failure_at AS "last_failure_at: SqlTimestamp",
             failure_count AS "failure_count!", success_count AS "success_count!", avg_response_time_ms, failover_url,
             retry_config AS "retry_config!", rests_until AS "rests_until: SqlTimestamp",
             (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = hook.id AND d.status = 'pending')
               AS "waiting!"
           FROM webhooks hook LEFT JOIN webhook_lanes lane ON lane.webhook_id = hook.id
           WHERE ($1::uuid IS NULL OR merchant_id = $1) AND ($2::uuid IS NULL OR hook.id > $2)
           ORDER BY hook.id LIMIT $3"#,
        merchant_id.map(|id| id.0),
        after,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| WebhookView {
            id: row.id,
            merchant_id: row.merchant_id,
            event_type: row.event_type,
            url: row.url,
            status: row.status,
            last_success_at: row.last_success_at.map(SqlTimestamp::to_jiff),
            last_failure_at: row.last_failure_at.map(SqlTimestamp::to_jiff),
            failure_count: row.failure_count,
            success_count: row.success_count,
            avg_response_time_ms: row.avg_response_time_ms,
            failover_url: row.failover_url,
            retry_config: row.retry_config,
            waiting: row.waiting,
            rests_until: row.rests_until.map(SqlTimestamp::to_jiff),
        })
        .collect())
}

/// What is needed to send to one; none when there is none.
///
/// # Errors
/// When the database fails.
pub async fn target(db: &Db, id: Uuid) -> Result<Option<Target>, StoreError> {
    let found = sqlx::query_as!(
        Target,
        r#"SELECT url AS "url!", failover_url, secret AS "secret!", retry_config AS "retry_config!",
             status AS "status!"
           FROM webhooks WHERE id = $1"#,
        id
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(found)
}

/// Whose a receiver is, named by itself or by one of its deliveries; none when there is none.
///
/// # Errors
/// When the database fails.
pub async fn owner(
    tx: &mut Tx,
    webhook_id: Option<Uuid>,
    delivery_id: Option<Uuid>,
) -> Result<Option<Option<MerchantId>>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT merchant_id FROM webhooks
         WHERE id = coalesce($1, (SELECT webhook_id FROM webhook_deliveries WHERE id = $2))",
        webhook_id,
        delivery_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(|merchant_id| merchant_id.map(MerchantId)))
}

/// Sets the status of one; whose it is, or none when there is none.
///
/// # Errors
/// When the database fails.
pub async fn set_status(tx: &mut Tx, id: Uuid, status: &str) -> Result<Option<Option<MerchantId>>, StoreError> {
    let found = sqlx::query_scalar!(
        "WITH of_merchant AS (
           UPDATE merchant_webhooks SET status = $2 WHERE id = $1 RETURNING merchant_id
         ), of_ops AS (
           UPDATE ops_webhooks SET status = $2 WHERE id = $1 RETURNING NULL::uuid AS merchant_id
         )
         SELECT merchant_id FROM of_merchant UNION ALL SELECT merchant_id FROM of_ops",
        id,
        status
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(|merchant_id| merchant_id.map(MerchantId)))
}

/// Counts one try, and sets the status unless the receiver is disabled.
///
/// # Errors
/// When the database fails.
pub async fn tried(
    tx: &mut Tx,
    id: Uuid,
    took_ms: Option<i32>,
    status: Option<&str>,
    succeeded: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT plugmend_webhook_tried($1, $2, $3, $4, $5)",
        id,
        succeeded,
        took_ms,
        status,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// At most `limit` receivers whose secrets are not encrypted yet.
///
/// # Errors
/// When the database fails.
pub async fn in_the_clear(db: &Db, limit: i64) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", secret AS "secret!" FROM webhooks WHERE secret NOT LIKE 'enc:v1:%' LIMIT $1"#,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.secret)).collect())
}

/// Replaces a secret, unless it was changed in between.
///
/// # Errors
/// When the database fails.
pub async fn replace_secret(db: &Db, id: Uuid, was: &str, is: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH of_ops AS (UPDATE ops_webhooks SET secret = $3 WHERE id = $1 AND secret = $2)
         UPDATE merchant_webhooks SET secret = $3 WHERE id = $1 AND secret = $2",
        id,
        was,
        is
    )
    .execute(db.pool())
    .await?;
    Ok(())
}
