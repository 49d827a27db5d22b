//! Orders for which nothing was heard in time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::{
    domain::command::{Change, Order, give_up_waiting},
    store::{self, Db, StoreError, Tx, audit, command::Unreadable},
};

/// Gives at most `limit` overdue orders another try or ends them; how many. What another replica works on is left to
/// it. `random` is any number.
///
/// # Errors
/// When the database fails; nothing is changed then.
pub async fn end_overdue(db: &Db, now: Timestamp, random: u32, limit: u16) -> Result<u16, StoreError> {
    let mut tx = db.begin().await?;
    let mut ended = 0;
    let (orders, unreadable) = store::command::lock_overdue(&mut tx, now, i64::from(limit)).await?;
    for order in unreadable {
        end_unreadable(&mut tx, &order, now).await?;
        ended += 1;
    }
    for order in orders {
        let Change::To { state, retries } = give_up_waiting(&order, now, random.rotate_left(u32::from(ended))) else {
            continue;
        };
        let next = Order {
            retries,
            state,
            ..order.clone()
        };
        store::command::save(&mut tx, &order, &next, now).await?;
        let entry = audit::Entry {
            actor: &audit::Actor::System,
            action: &format!("command_{}", next.state.status()),
            merchant_id: None,
            plugin_id: Some(next.plugin_id),
            details: json!({
                "command_id": next.id, "type": next.kind.as_str(), "was": order.state.status(),
                "retries": next.retries.count, "why": "nothing was heard in time",
            }),
        };
        audit::log(&mut tx, &entry).await?;
        store::command::announce(&mut tx, next.plugin_id).await?;
        ended += 1;
    }
    tx.commit().await?;
    Ok(ended)
}

/// What can not be read can not be tried again: left where it is, enough of it would fill every batch for ever.
async fn end_unreadable(tx: &mut Tx, order: &Unreadable, now: Timestamp) -> Result<(), StoreError> {
    let why = std::error::Error::source(&order.why).map_or_else(String::new, |source| format!(": {source}"));
    let words = format!("unreadable: {}{why}; give the order anew", order.why);
    store::command::end_unreadable(tx, order.id, &words, now).await?;
    let entry = audit::Entry {
        actor: &audit::Actor::System,
        action: "command_failed",
        merchant_id: None,
        plugin_id: Some(order.plugin_id),
        details: json!({ "command_id": order.id, "was": order.status, "why": words }),
    };
    audit::log(tx, &entry).await?;
    store::command::announce(tx, order.plugin_id).await
}

/// Tells the replicas of at most `limit` plugins whose next try came due within the last `within`.
///
/// # Errors
/// When the database fails.
pub async fn announce_due(db: &Db, now: Timestamp, within: Duration, limit: u16) -> Result<(), StoreError> {
    let since = now.checked_sub(within).unwrap_or(Timestamp::MIN);
    let due = store::command::came_due(db, since, now, i64::from(limit)).await?;
    if due.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    for plugin_id in due {
        store::command::announce(&mut tx, plugin_id).await?;
    }
    tx.commit().await?;
    Ok(())
}
