//! What plugins say about their orders.

use jiff::Timestamp;
use plugmend_shared::{
    ids::{CommandId, MerchantId, PluginId},
    protocol::command::Progress,
};
use serde_json::json;
use thiserror::Error;

use crate::{
    domain::command::{Change, Illegal, Order, Report, State, take_report},
    store::{self, Db, StoreError, audit},
};

/// Who reports, as their certificate or secret says.
#[derive(Debug, Clone, Copy)]
pub struct Reporter {
    /// Which plugin.
    pub plugin_id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
}

/// Why a report is not taken.
#[derive(Debug, Error)]
pub enum ReportError {
    /// There is no such order, or it is another plugin's: which of the two is not said.
    #[error("there is no such command for this plugin")]
    Unknown,
    /// The order can not become that any more.
    #[error(transparent)]
    Ended(#[from] Illegal),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a report; a repeat does nothing. `random` is any number.
///
/// # Errors
/// When the order is not the reporter's, has ended otherwise, or the database fails.
pub async fn report(
    db: &Db,
    who: Reporter,
    id: CommandId,
    report: Report,
    progress: Option<&Progress>,
    now: Timestamp,
    random: u32,
) -> Result<(), ReportError> {
    let mut tx = db.begin().await?;
    let order = store::command::lock(&mut tx, who.plugin_id, id)
        .await?
        .ok_or(ReportError::Unknown)?;
    let change = take_report(&order, report, now, random)?;
    if let Some(progress) = progress.filter(|_| matches!(order.state, State::InFlight(_))) {
        store::command::save_progress(&mut tx, id, progress).await?;
    }
    if let Change::To { state, retries } = change {
        let next = Order {
            retries,
            state,
            ..order.clone()
        };
        store::command::save(&mut tx, &order, &next, now).await?;
        if next.state.status() != order.state.status() {
            record(&mut tx, who, &order, &next).await?;
        }
        if !matches!(next.state, State::InFlight(_)) {
            // The next order, if one waits, can go.
            store::command::announce(&mut tx, who.plugin_id).await?;
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

async fn record(tx: &mut store::Tx, who: Reporter, was: &Order, is: &Order) -> Result<(), StoreError> {
    let entry = audit::Entry {
        actor: &audit::Actor::Merchant(who.merchant_id),
        action: &format!("command_{}", is.state.status()),
        merchant_id: Some(who.merchant_id),
        plugin_id: Some(who.plugin_id),
        details: json!({
            "command_id": is.id, "type": is.kind.as_str(), "was": was.state.status(), "retries": is.retries.count,
        }),
    };
    audit::log(tx, &entry).await
}
