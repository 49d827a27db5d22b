//! Events on their way to receivers (`outbox_events`).

use jiff::Timestamp;

use super::{StoreError, ToSqlx as _, Tx};
use crate::domain::event::Event;

/// Puts an event into the outbox, in the transaction of what it tells of: it leaves when that is committed, and never
/// when it is not.
///
/// # Errors
/// When the database fails.
pub async fn put(tx: &mut Tx, event: &Event) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO outbox_events (kind, merchant_id, plugin_id, data) VALUES ($1, $2, $3, $4)",
        event.kind.as_str(),
        event.merchant_id.map(|id| id.0),
        event.plugin_id.map(|id| id.0),
        event.data,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The same, unless such an event was put in since then: what lasts is told of once in a while.
///
/// # Errors
/// When the database fails.
pub async fn put_unless_told(tx: &mut Tx, event: &Event, since: Timestamp) -> Result<(), StoreError> {
    let told = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM outbox_events WHERE kind = $1 AND created_at > $2) AS "told!""#,
        event.kind.as_str(),
        since.to_sqlx() as _
    )
    .fetch_one(&mut **tx)
    .await?;
    if told { Ok(()) } else { put(tx, event).await }
}
