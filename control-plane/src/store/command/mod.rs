//! Orders (`plugin_agent_commands`).

mod go;
mod row;

use jiff::Timestamp;
use plugmend_shared::{
    generation::Generation,
    ids::{CommandId, PluginId},
    protocol::command::Progress,
};
use uuid::Uuid;

use self::row::{OrderRow, StateColumns};
use super::{Db, SqlTimestamp, StoreError, ToSqlx, Tx};
use crate::domain::command::Order;

pub use self::{go::standing, row::OrderView};

/// Stores a new order, which waits.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, order: &Order, created_by: &str, now: Timestamp) -> Result<(), StoreError> {
    let payload = serde_json::to_value(&order.payload).map_err(|error| StoreError::corrupt("payload", error))?;
    sqlx::query!(
        "INSERT INTO plugin_agent_commands
           (id, merchant_plugin_id, command_type, command_payload, status, max_retries, expires_at, attempt_id,
            created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, $9, $9)",
        order.id.0,
        order.plugin_id.0,
        order.kind.as_str(),
        payload,
        i32::try_from(order.retries.max).unwrap_or(i32::MAX),
        order.expires_at.to_sqlx() as _,
        order.payload.attempt_id.map(|id| id.0),
        created_by,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One order of one plugin, held until the transaction ends; none when there is none or it is another plugin's.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock(tx: &mut Tx, plugin_id: PluginId, id: CommandId) -> Result<Option<Order>, StoreError> {
    let row = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, merchant_plugin_id, command_type, command_payload, status, generation,
             sent_at AS "sent_at: SqlTimestamp", completed_at AS "completed_at: SqlTimestamp", response, error_message,
             retry_count AS "retry_count?", max_retries AS "max_retries?",
             next_retry_at AS "next_retry_at: SqlTimestamp", expires_at AS "expires_at: SqlTimestamp",
             deadline_at AS "deadline_at: SqlTimestamp", created_at AS "created_at: SqlTimestamp"
           FROM plugin_agent_commands WHERE id = $1 AND merchant_plugin_id = $2 FOR UPDATE"#,
        id.0,
        plugin_id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Order::try_from).transpose()
}

/// Everything that waits for or is with the plugins, oldest first by plugin, held until the transaction ends. The
/// plugins' rows must be held already. Rows that can not be read (of the reference system, or by a person's hand) are
/// left out and logged: one of them must not stop a fleet's heartbeats.
///
/// # Errors
/// When the database fails.
pub async fn lock_waiting(tx: &mut Tx, plugin_ids: &[Uuid]) -> Result<Vec<Order>, StoreError> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, merchant_plugin_id, command_type, command_payload, status, generation,
             sent_at AS "sent_at: SqlTimestamp", completed_at AS "completed_at: SqlTimestamp", response, error_message,
             retry_count AS "retry_count?", max_retries AS "max_retries?",
             next_retry_at AS "next_retry_at: SqlTimestamp", expires_at AS "expires_at: SqlTimestamp",
             deadline_at AS "deadline_at: SqlTimestamp", created_at AS "created_at: SqlTimestamp"
           FROM plugin_agent_commands
           WHERE merchant_plugin_id = ANY ($1) AND status IN ('pending', 'sent', 'acknowledged', 'executing')
           ORDER BY merchant_plugin_id, created_at, id FOR UPDATE"#,
        plugin_ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(readable(rows))
}

/// Whether anything may be due for a plugin; cheap, and no promise.
///
/// # Errors
/// When the database fails.
pub async fn may_have_due(db: &Db, plugin_id: PluginId, now: Timestamp) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT 1 FROM plugin_agent_commands
             WHERE merchant_plugin_id = $1 AND status IN ('pending', 'sent')
               AND (next_retry_at IS NULL OR next_retry_at <= $2)) AS "found!""#,
        plugin_id.0,
        now.to_sqlx() as _
    )
    .fetch_one(db.pool())
    .await?;
    Ok(found)
}

/// An order whose row can not be read (of the reference system, or by a person's hand).
#[derive(Debug)]
pub struct Unreadable {
    /// Its id.
    pub id: CommandId,
    /// Whose it is.
    pub plugin_id: PluginId,
    /// `pending`, `sent`, ...
    pub status: String,
    /// What is wrong with it.
    pub why: StoreError,
}

/// At most `limit` orders whose time is over, held until the transaction ends, and those among them that can not be
/// read; what another replica holds is left to it.
///
/// # Errors
/// When the database fails.
pub async fn lock_overdue(
    tx: &mut Tx,
    now: Timestamp,
    limit: i64,
) -> Result<(Vec<Order>, Vec<Unreadable>), StoreError> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT id, merchant_plugin_id, command_type, command_payload, status, generation,
             sent_at AS "sent_at: SqlTimestamp", completed_at AS "completed_at: SqlTimestamp", response, error_message,
             retry_count AS "retry_count?", max_retries AS "max_retries?",
             next_retry_at AS "next_retry_at: SqlTimestamp", expires_at AS "expires_at: SqlTimestamp",
             deadline_at AS "deadline_at: SqlTimestamp", created_at AS "created_at: SqlTimestamp"
           FROM plugin_agent_commands
           WHERE status = 'pending' AND coalesce(expires_at, created_at + interval '24 hours') <= $1
              OR status IN ('sent', 'acknowledged', 'executing')
                 AND coalesce(deadline_at, sent_at + interval '2 hours', created_at + interval '24 hours') <= $1
           ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        now.to_sqlx() as _,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    let (mut orders, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        let (id, plugin_id, status) = (row.id.into(), row.merchant_plugin_id.into(), row.status.clone());
        match Order::try_from(row) {
            Ok(order) => orders.push(order),
            Err(why) => unreadable.push(Unreadable {
                id,
                plugin_id,
                status,
                why,
            }),
        }
    }
    Ok((orders, unreadable))
}

/// Ends a held order that can not be read.
///
/// # Errors
/// When the database fails.
pub async fn end_unreadable(tx: &mut Tx, id: CommandId, words: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_agent_commands
         SET status = 'failed', error_message = $2, completed_at = $3, updated_at = $3, next_retry_at = NULL,
             deadline_at = NULL
         WHERE id = $1",
        id.0,
        words,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Plugins whose next try came due after `since` and until `now`: their agents are to be told.
///
/// # Errors
/// When the database fails.
pub async fn came_due(db: &Db, since: Timestamp, now: Timestamp, limit: i64) -> Result<Vec<PluginId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT DISTINCT merchant_plugin_id FROM plugin_agent_commands
         WHERE status = 'pending' AND next_retry_at > $1 AND next_retry_at <= $2 LIMIT $3",
        since.to_sqlx() as _,
        now.to_sqlx() as _,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(found.into_iter().map(PluginId).collect())
}

/// The next generations of plugins whose rows are held: each grows by one.
///
/// # Errors
/// When the database fails.
pub async fn next_generations(tx: &mut Tx, plugin_ids: &[Uuid]) -> Result<Vec<(PluginId, Generation)>, StoreError> {
    let rows = sqlx::query!(
        "UPDATE merchant_plugins SET command_generation = command_generation + 1
         WHERE id = ANY ($1) RETURNING id, command_generation",
        plugin_ids
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let generation = u64::try_from(row.command_generation)
                .map_err(|error| StoreError::corrupt("generation of a plugin", error))?;
            Ok((PluginId(row.id), Generation(generation)))
        })
        .collect()
}

/// Writes where an order stands, provided it still stands where it was read.
///
/// # Errors
/// [`StoreError::Stale`] when it does not.
pub async fn save(tx: &mut Tx, was: &Order, is: &Order, now: Timestamp) -> Result<(), StoreError> {
    let columns = StateColumns::of(&is.state);
    let done = sqlx::query!(
        "UPDATE plugin_agent_commands
         SET status = $3, generation = coalesce($4, generation), deadline_at = $5, next_retry_at = $6,
             retry_count = $7, response = $8, error_message = $9, completed_at = $10,
             sent_at = coalesce($11, sent_at),
             acknowledged_at = CASE WHEN $3 IN ('pending', 'sent') THEN NULL
                                    WHEN $3 = 'acknowledged' THEN coalesce(acknowledged_at, $12)
                                    ELSE acknowledged_at END,
             executing_at = CASE WHEN $3 IN ('pending', 'sent', 'acknowledged') THEN NULL
                                 WHEN $3 = 'executing' THEN coalesce(executing_at, $12)
                                 ELSE executing_at END,
             updated_at = $12
         WHERE id = $1 AND status = $2",
        is.id.0,
        was.state.status(),
        is.state.status(),
        columns.generation,
        columns.deadline.map(ToSqlx::to_sqlx) as _,
        columns.not_before.map(ToSqlx::to_sqlx) as _,
        i32::try_from(is.retries.count).unwrap_or(i32::MAX),
        columns.response,
        columns.error,
        columns.completed_at.map(ToSqlx::to_sqlx) as _,
        columns.sent_at.map(ToSqlx::to_sqlx) as _,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the command" })
    }
}

/// Keeps the last word of a plugin about an order on its way.
///
/// # Errors
/// When the database fails.
pub async fn save_progress(tx: &mut Tx, id: CommandId, progress: &Progress) -> Result<(), StoreError> {
    let value = serde_json::to_value(progress).map_err(|error| StoreError::corrupt("progress", error))?;
    sqlx::query!(
        "UPDATE plugin_agent_commands SET progress = $2 WHERE id = $1",
        id.0,
        value
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Tells the replicas, at commit, when a plugin has orders waiting.
///
/// # Errors
/// When the database fails.
pub async fn announce(tx: &mut Tx, plugin_id: PluginId) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_notify('plugmend_commands', $1::uuid::text)
         WHERE EXISTS (SELECT 1 FROM plugin_agent_commands WHERE merchant_plugin_id = $1 AND status = 'pending')",
        plugin_id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

/// One order as people see it.
///
/// # Errors
/// When the database fails.
pub async fn view(db: &Db, id: CommandId) -> Result<Option<OrderView>, StoreError> {
    row::view(db, id).await
}

fn readable(rows: Vec<OrderRow>) -> Vec<Order> {
    rows.into_iter()
        .filter_map(|row| {
            let id = row.id;
            Order::try_from(row)
                .map_err(
                    |error| tracing::warn!(command = %id, error = %error, "left out an order that can not be read"),
                )
                .ok()
        })
        .collect()
}
