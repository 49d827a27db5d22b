//! What every step leaves behind: an audit entry, and an event where people or machines wait for one.

use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::Value;

use crate::{
    domain::event::{Event, EventKind},
    store::{
        self, StoreError, Tx,
        audit::{self, Actor, Entry},
    },
};

/// Whom a step is about.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
}

impl About {
    /// Writes the entry of what `actor` does in this transaction.
    pub async fn audit(self, tx: &mut Tx, actor: &Actor, action: &str, details: Value) -> Result<(), StoreError> {
        let entry = Entry {
            actor,
            action,
            merchant_id: Some(self.merchant_id),
            plugin_id: Some(self.plugin_id),
            details,
        };
        audit::log(tx, &entry).await
    }

    /// Puts an event into the outbox of this transaction.
    pub async fn event(self, tx: &mut Tx, kind: EventKind, data: Value) -> Result<(), StoreError> {
        let event = Event {
            kind,
            merchant_id: Some(self.merchant_id),
            plugin_id: Some(self.plugin_id),
            data,
        };
        store::outbox::put(tx, &event).await
    }
}
