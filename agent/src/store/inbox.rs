//! Orders that were taken and have not ended: an order that was acknowledged is not forgotten by a restart.

use std::time::Instant;

use jiff::Timestamp;
use plugmend_shared::{ids::CommandId, protocol::command::Command};
use serde::{Deserialize, Serialize};

use super::kept::{Kept, StoreError, key};

/// Key of an order: this, then its id (whose order is that of time).
const KIND: u8 = b'c';
/// The most orders that wait: the control plane sends one at a time.
pub const MAX_ORDERS: usize = 16;

/// An order as it was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The order.
    pub command: Command,
    /// When it was taken, by this host's clock.
    pub received_at: Timestamp,
    /// The same by a clock that nobody sets; absent once it was taken by an earlier life of the agent.
    #[serde(skip)]
    pub taken: Option<Instant>,
}

impl Kept {
    /// Keeps an order until it has [`Kept::ended`]; a new try at the same order replaces it.
    ///
    /// # Errors
    /// When it can not be written: then it must not be acknowledged.
    pub fn take_order(&self, order: &Order) -> Result<(), StoreError> {
        self.write_json(&order_key(order.command.id), order)?;
        self.flush()
    }

    /// The orders that were taken and have not ended, oldest first.
    ///
    /// # Errors
    /// When they can not be read.
    pub fn orders(&self) -> Result<Vec<Order>, StoreError> {
        self.on(|db| {
            let mut orders = Vec::new();
            for entry in db.scan_prefix([KIND]).take(MAX_ORDERS) {
                let (key, value) = entry?;
                match serde_json::from_slice(&value) {
                    Ok(order) => orders.push(order),
                    Err(_) => {
                        db.remove(&key)?;
                    }
                }
            }
            Ok(orders)
        })
    }

    /// The order has ended; its result is in the outbox.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn ended(&self, id: CommandId) -> Result<(), StoreError> {
        self.on(|db| Ok(db.remove(order_key(id))?))?;
        self.flush()
    }
}

fn order_key(id: CommandId) -> Vec<u8> {
    key(KIND, id.0.as_bytes())
}

#[cfg(test)]
mod tests {
    use plugmend_shared::protocol::command::{CommandKind, CommandPayload};

    use super::*;

    #[test]
    fn an_order_that_was_taken_survives_a_restart_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let order = Order {
            command: Command {
                id: CommandId(uuid::Uuid::from_u128(1)),
                kind: CommandKind::HealthCheck,
                payload: CommandPayload::default(),
            },
            received_at: Timestamp::from_second(1_700_000_000).unwrap(),
            taken: None,
        };
        Kept::open(dir.path()).unwrap().kept.take_order(&order).unwrap();
        let kept = Kept::open(dir.path()).unwrap().kept;
        assert_eq!(kept.orders().unwrap(), std::slice::from_ref(&order));
        kept.ended(order.command.id).unwrap();
        assert!(kept.orders().unwrap().is_empty());
    }
}
