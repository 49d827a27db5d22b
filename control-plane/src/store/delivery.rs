//! Events on their way to each receiver (`webhook_deliveries`), and the lanes that they wait in (`webhook_lanes`).

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx, Tx};

/// A lane that was taken: what is due there is sent by its holder alone, until the lease ends.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Which receiver.
    pub webhook_id: Uuid,
    /// Its failures in a row.
    pub failures: u32,
    /// Until when.
    pub leased_until: Timestamp,
}

/// One event that is due at one receiver.
#[derive(Debug, Clone)]
pub struct Due {
    /// The delivery.
    pub id: Uuid,
    /// Tries so far.
    pub attempts: u32,
    /// The event.
    pub event_id: Uuid,
    /// What happened.
    pub kind: String,
    /// Whose plugin it is about.
    pub merchant_id: Option<Uuid>,
    /// Which plugin.
    pub plugin_id: Option<Uuid>,
    /// What is told.
    pub data: Value,
    /// When it happened.
    pub at: Timestamp,
}

/// Where a delivery goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It was taken.
    Delivered,
    /// It is tried again.
    Again(Timestamp),
    /// It is tried no more, unless a person asks for it.
    Dead,
}

/// A delivery as people see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the columns of webhook_deliveries, as they are")]
pub struct DeliveryView {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub event_id: Uuid,
    pub kind: String,
    pub status: String,
    pub attempts: i32,
    pub next_attempt_at: Option<Timestamp>,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// Makes the deliveries of at most `limit` events, and wakes their lanes; how many events.
///
/// # Errors
/// When the database fails.
pub async fn spread(db: &Db, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "WITH fresh AS (
           SELECT id, kind, merchant_id FROM outbox_events WHERE spread_at IS NULL
           ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
         ), made AS (
           INSERT INTO webhook_deliveries (event_id, webhook_id, next_attempt_at, created_at)
           SELECT fresh.id, hook.id, $1, $1
           FROM fresh JOIN webhooks hook
             ON hook.status <> 'disabled' AND hook.event_type IN (fresh.kind, '*')
                AND (hook.merchant_id IS NULL OR hook.merchant_id = fresh.merchant_id)
           ON CONFLICT DO NOTHING
           RETURNING webhook_id
         ), woken AS (
           INSERT INTO webhook_lanes AS lane (webhook_id, due_at)
           SELECT DISTINCT webhook_id, $1::timestamptz FROM made ORDER BY webhook_id
           ON CONFLICT (webhook_id) DO UPDATE SET due_at = least(lane.due_at, excluded.due_at)
         )
         UPDATE outbox_events SET spread_at = $1 WHERE id IN (SELECT id FROM fresh)",
        now.to_sqlx() as _,
        limit
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected())
}

/// Takes at most `limit` lanes where something is due and nobody is at work, until `lease_ends`.
///
/// # Errors
/// When the database fails.
pub async fn take_lanes(db: &Db, now: Timestamp, lease_ends: Timestamp, limit: i64) -> Result<Vec<Lane>, StoreError> {
    let rows = sqlx::query!(
        "UPDATE webhook_lanes SET leased_until = $2
         WHERE webhook_id IN (
           SELECT webhook_id FROM webhook_lanes
           WHERE due_at <= $1 AND coalesce(leased_until, '-infinity') <= $1
             AND coalesce(rests_until, '-infinity') <= $1
           ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING webhook_id, failures",
        now.to_sqlx() as _,
        lease_ends.to_sqlx() as _,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Lane {
            webhook_id: row.webhook_id,
            failures: u32::try_from(row.failures).unwrap_or(0),
            leased_until: lease_ends,
        })
        .collect())
}

/// At most `limit` deliveries that are due in a lane, the longest due first.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &Db, webhook_id: Uuid, now: Timestamp, limit: i64) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT d.id, d.attempts, e.id AS event_id, e.kind, e.merchant_id, e.plugin_id, e.data,
             e.created_at AS "at: SqlTimestamp"
           FROM webhook_deliveries d JOIN outbox_events e ON e.id = d.event_id
           WHERE d.webhook_id = $1 AND d.status = 'pending' AND d.next_attempt_at <= $2
           ORDER BY d.next_attempt_at, e.created_at LIMIT $3"#,
        webhook_id,
        now.to_sqlx() as _,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            id: row.id,
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            event_id: row.event_id,
            kind: row.kind,
            merchant_id: row.merchant_id,
            plugin_id: row.plugin_id,
            data: row.data,
            at: row.at.to_jiff(),
        })
        .collect())
}

/// Writes what came of a try, provided nobody else has done so meanwhile.
///
/// # Errors
/// [`StoreError::Stale`] when somebody has.
pub async fn tried(
    tx: &mut Tx,
    was: &Due,
    next: Next,
    (status, error): (Option<u16>, Option<&str>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let (word, again) = match next {
        Next::Delivered => ("delivered", None),
        Next::Again(at) => ("pending", Some(at)),
        Next::Dead => ("dead", None),
    };
    let done = sqlx::query!(
        "UPDATE webhook_deliveries
         SET status = $2, attempts = attempts + 1, next_attempt_at = coalesce($3, next_attempt_at), last_status = $4,
             last_error = $5, ended_at = CASE WHEN $2 = 'pending' THEN NULL ELSE $6::timestamptz END
         WHERE id = $1 AND status = 'pending' AND attempts = $7",
        was.id,
        word,
        again.map(ToSqlx::to_sqlx) as _,
        status.map(i32::from),
        error,
        now.to_sqlx() as _,
        i32::try_from(was.attempts).unwrap_or(i32::MAX)
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the delivery" })
    }
}

/// Gives a lane back, if its lease is still the one that was taken.
///
/// # Errors
/// When the database fails.
pub async fn give_back(db: &Db, lane: &Lane, failures: u32, rests_until: Option<Timestamp>) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    // Held first, so that the look at what is due comes after whoever has just added something.
    sqlx::query!(
        "SELECT webhook_id FROM webhook_lanes WHERE webhook_id = $1 FOR UPDATE",
        lane.webhook_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE webhook_lanes
         SET leased_until = NULL, failures = $3, rests_until = $4,
             due_at = (SELECT min(next_attempt_at) FROM webhook_deliveries
                       WHERE webhook_id = $1 AND status = 'pending')
         WHERE webhook_id = $1 AND leased_until = $2",
        lane.webhook_id,
        lane.leased_until.to_sqlx() as _,
        i32::try_from(failures).unwrap_or(i32::MAX),
        rests_until.map(ToSqlx::to_sqlx) as _
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Ends everything that waits for a receiver that wants, or gets, nothing more; how many.
///
/// # Errors
/// When the database fails.
pub async fn end_all(tx: &mut Tx, webhook_id: Uuid, why: &str, now: Timestamp) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE webhook_deliveries SET status = 'dead', last_error = $2, ended_at = $3
         WHERE webhook_id = $1 AND status = 'pending'",
        webhook_id,
        why,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Sends dead deliveries again: one, or all of a receiver; how many. Their ids stay, so that receivers know repeats.
///
/// # Errors
/// When the database fails.
pub async fn replay(
    tx: &mut Tx,
    webhook_id: Option<Uuid>,
    delivery_id: Option<Uuid>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let revived = sqlx::query_scalar!(
        "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = $3, ended_at = NULL
         WHERE status <> 'pending' AND (id = $2 OR ($2 IS NULL AND webhook_id = $1 AND status = 'dead'))
         RETURNING webhook_id",
        webhook_id,
        delivery_id,
        now.to_sqlx() as _
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut lanes = revived.clone();
    lanes.sort_unstable();
    lanes.dedup();
    sqlx::query!(
        "INSERT INTO webhook_lanes AS lane (webhook_id, due_at) SELECT id, $2::timestamptz FROM unnest($1::uuid[]) AS t (id)
         ON CONFLICT (webhook_id) DO UPDATE
         SET due_at = least(lane.due_at, excluded.due_at), rests_until = NULL, failures = 0",
        &lanes,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(revived.len() as u64)
}

/// Deliveries in one state or all, of one receiver or all, newest first, before `before`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &Db,
    (merchant_id, webhook_id, status): (Option<MerchantId>, Option<Uuid>, Option<&str>),
    before: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<DeliveryView>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT d.id, d.webhook_id, d.event_id, e.kind, d.status, d.attempts,
             d.next_attempt_at AS "next_attempt_at: SqlTimestamp", d.last_status, d.last_error,
             d.created_at AS "created_at: SqlTimestamp", d.ended_at AS "ended_at: SqlTimestamp"
           FROM webhook_deliveries d JOIN outbox_events e ON e.id = d.event_id
           WHERE ($1::uuid IS NULL OR d.webhook_id = $1) AND ($2::text IS NULL OR d.status = $2)
             AND ($3::timestamptz IS NULL OR d.created_at < $3)
             AND ($5::uuid IS NULL OR d.webhook_id IN (SELECT id FROM merchant_webhooks WHERE merchant_id = $5))
           ORDER BY d.created_at DESC, d.id LIMIT $4"#,
        webhook_id,
        status,
        before.map(ToSqlx::to_sqlx) as _,
        limit,
        merchant_id.map(|id| id.0)
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DeliveryView {
            id: row.id,
            webhook_id: row.webhook_id,
            event_id: row.event_id,
            kind: row.kind,
            next_attempt_at: (row.status == "pending").then(|| row.next_attempt_at.to_jiff()),
            status: row.status,
            attempts: row.attempts,
            last_status: row.last_status,
            last_error: row.last_error,
            created_at: row.created_at.to_jiff(),
            ended_at: row.ended_at.map(SqlTimestamp::to_jiff),
        })
        .collect())
}

/// Forgets at most `limit` events of before `before` that wait for nobody any more; how many.
///
/// # Errors
/// When the database fails.
pub async fn forget(db: &Db, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM outbox_events WHERE id IN (
           SELECT id FROM outbox_events event
           WHERE created_at < $1 AND spread_at IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM webhook_deliveries d WHERE d.event_id = event.id AND d.status = 'pending')
           LIMIT $2)",
        before.to_sqlx() as _,
        limit
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected())
}
