//! Events on their way to receivers (`outbox_events`).

use super::{StoreError, Tx};
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
