//! Orders in hand: one queue for what heartbeats and long polls bring, so that one order twice is one order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plugmend_shared::{
    generation::Generation,
    ids::CommandId,
    protocol::command::{Command, CommandKind},
};
use tokio::sync::Notify;

use super::progress::Teller;
use crate::{
    engine::Signals,
    store::{Kept, MAX_ORDERS, Order, StoreError, or_nothing},
};

/// What became of an order that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// New: it is queued and remembered.
    Queued,
    /// In hand already: nothing to do but to say so again.
    InHand,
    /// Too many wait. The control plane sends it again.
    Full,
}

/// The queue. The worker takes from its front; the front stays until it has ended.
#[derive(Debug)]
pub struct Orders {
    kept: Arc<Kept>,
    queue: Mutex<VecDeque<Order>>,
    arrived: Notify,
    told: Teller,
    signals: Arc<Signals>,
    wishes: Arc<()>,
}

/// A person on the host waits for the way back: while this lives, no change is begun.
#[derive(Debug)]
pub struct Wish(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Orders {
    /// The orders that a last life of the agent left. Of newly taken ones the control plane is told through `told`; a
    /// change in hand that one of them is to take back is told through `signals`.
    /// What can not be read is sent again by the control plane.
    pub fn open(kept: Arc<Kept>, told: Teller, signals: Arc<Signals>) -> Self {
        let queue = Mutex::new(or_nothing(kept.orders()).into());
        Self {
            kept,
            queue,
            arrived: Notify::new(),
            told,
            signals,
            wishes: Arc::default(),
        }
    }

    /// Takes what arrived. Nothing is acknowledged that is not on disk.
    ///
    /// # Errors
    /// When it can not be written; the control plane sends it again.
    pub fn take(&self, command: Command, now: Timestamp) -> Result<Taken, StoreError> {
        let order = Order {
            command,
            received_at: now,
            taken: Some(Instant::now()),
        };
        let mut queue = self.queue();
        let mut is_new = true;
        if let Some(known) = queue.iter().find(|known| known.command.id == order.command.id) {
            if known.command.payload.generation >= order.command.payload.generation {
                return Ok(Taken::InHand);
            }
            is_new = false;
        } else if queue.len() >= MAX_ORDERS {
            return Ok(Taken::Full);
        }
        // It was carried out, and the control plane does not know yet: the outbox tells it.
        let generation = order.command.payload.generation;
        if self.kept.is_answer_waiting(order.command.id, generation)? {
            return Ok(Taken::InHand);
        }
        self.kept.take_order(&order)?;
        self.told.acknowledged(&order.command);
        // A new try at an order whose last try is under way comes after it.
        let goes_back = is_new && order.command.kind == CommandKind::Rollback;
        queue.push_back(order);
        if goes_back {
            // It must not wait behind the watch of what it is to take back.
            self.signals.go_back();
        }
        self.arrived.notify_one();
        Ok(Taken::Queued)
    }

    /// Waits for an order. It stays at the front until [`Orders::ended`].
    pub async fn next(&self) -> Order {
        loop {
            let arrived = self.arrived.notified();
            if let Some(order) = self.queue().front() {
                return order.clone();
            }
            arrived.await;
        }
    }

    /// A person on the host wants to go back: calls back the change in hand, and one that is about to be.
    pub fn wish_back(&self) -> Wish {
        let _queue = self.queue();
        self.signals.go_back();
        Wish(self.wishes.clone())
    }

    /// The order `id` (none: what an earlier life left) is about to be carried out: only an order to go back that waits
    /// behind it calls it back, or a person who waits for the same.
    pub fn begin(&self, id: Option<CommandId>) {
        let queue = self.queue();
        self.signals.forget_back();
        let goes_back = |command: &Command| command.kind == CommandKind::Rollback && Some(command.id) != id;
        let is_wished = Arc::strong_count(&self.wishes) > 1;
        if is_wished || queue.iter().any(|order| goes_back(&order.command)) {
            self.signals.go_back();
        }
    }

    /// The generation of an order that is in hand.
    pub fn generation(&self, id: CommandId) -> Option<Generation> {
        let queue = self.queue();
        let order = queue.iter().find(|order| order.command.id == id)?;
        Some(order.command.payload.generation)
    }

    /// The order (its oldest try, when there are several) has ended and its result is kept.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn ended(&self, id: CommandId) -> Result<(), StoreError> {
        let mut queue = self.queue();
        if let Some(index) = queue.iter().position(|order| order.command.id == id) {
            queue.remove(index);
        }
        // A later try at the same order is kept under the same id.
        match queue.iter().find(|order| order.command.id == id) {
            Some(later) => self.kept.take_order(later),
            None => self.kept.ended(id),
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Order>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an order has waited: while the agent lives by a clock that nobody sets, so that a host which learns the time
/// after its start throws no order away. After a restart by the host's; one that was set back makes it no older.
pub fn age(order: &Order, now: Timestamp) -> Duration {
    if let Some(taken) = order.taken {
        return taken.elapsed();
    }
    Duration::try_from(now.duration_since(order.received_at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use plugmend_shared::{
        generation::Generation,
        protocol::command::{CommandKind, CommandPayload},
    };
    use uuid::Uuid;

    use super::*;

    fn command(id: u128, generation: u64) -> Command {
        Command {
            id: CommandId(Uuid::from_u128(id)),
            kind: CommandKind::Restart,
            payload: CommandPayload {
                generation: Generation(generation),
                expires_in_s: Some(60),
                ..CommandPayload::default()
            },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn orders(dir: &std::path::Path) -> (Orders, crate::tasks::progress::Told) {
        let (teller, told) = crate::tasks::progress::channel();
        (
            Orders::open(Arc::new(Kept::open(dir).unwrap().kept), teller, Arc::default()),
            told,
        )
    }

    #[tokio::test]
    async fn an_order_twice_is_one_order() {
        let dir = tempfile::tempdir().unwrap();
        let (orders, mut taken) = orders(dir.path());
        assert_eq!(orders.take(command(1, 5), at(0)).unwrap(), Taken::Queued);
        assert_eq!(orders.take(command(1, 5), at(1)).unwrap(), Taken::InHand);
        assert_eq!(orders.next().await.command, command(1, 5));
        orders.ended(command(1, 5).id).unwrap();
        assert_eq!(taken.try_next(), Some(command(1, 5).id));
        assert_eq!(taken.try_next(), None, "it was acknowledged once");
    }

    #[tokio::test]
    async fn a_new_try_comes_after_the_one_under_way_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        {
            let (orders, _taken) = orders(dir.path());
            orders.take(command(1, 5), at(0)).unwrap();
            orders.take(command(1, 6), at(0)).unwrap();
            orders.ended(command(1, 5).id).unwrap();
            assert_eq!(orders.next().await.command, command(1, 6));
        }
        let (orders, _taken) = orders(dir.path());
        assert_eq!(orders.next().await.command, command(1, 6));
    }

    #[test]
    fn an_order_whose_result_waits_to_be_sent_is_not_carried_out_again() {
        let dir = tempfile::tempdir().unwrap();
        let (orders, _told) = orders(dir.path());
        let failed = crate::store::Answer::Fail(plugmend_shared::protocol::command::Fail {
            error: "unreachable: later".to_owned(),
            retryable: Some(true),
            result: None,
            generation: Some(Generation(5)),
        });
        orders.kept.answer(command(1, 5).id, &failed).unwrap();
        assert_eq!(orders.take(command(1, 5), at(0)).unwrap(), Taken::InHand);
        assert_eq!(orders.take(command(1, 6), at(0)).unwrap(), Taken::Queued, "a new try");
    }

    #[tokio::test]
    async fn an_order_to_go_back_calls_the_change_in_hand_back_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let back = |id| Command {
            kind: CommandKind::Rollback,
            ..command(id, 9)
        };
        {
            let (orders, _told) = orders(dir.path());
            orders.take(command(1, 5), at(0)).unwrap();
            let change = orders.next().await.command.id;
            orders.begin(Some(change));
            assert!(!orders.signals.wants_back());
            orders.take(back(2), at(1)).unwrap();
            assert!(orders.signals.wants_back());
        }
        let (orders, _told) = orders(dir.path());
        orders.begin(Some(command(1, 5).id));
        assert!(orders.signals.wants_back(), "also after a restart");
        orders.ended(command(1, 5).id).unwrap();
        let own = orders.next().await.command.id;
        orders.begin(Some(own));
        assert!(
            !orders.signals.wants_back(),
            "the way back itself is watched to its end"
        );
        orders.take(back(2), at(2)).unwrap();
        assert!(!orders.signals.wants_back(), "also when it comes again");
    }

    #[test]
    fn a_person_who_waits_for_the_way_back_stops_the_change_that_begins_meanwhile_and_no_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let (orders, _told) = orders(dir.path());
        let wish = orders.wish_back();
        assert!(orders.signals.wants_back());
        orders.begin(Some(command(1, 5).id));
        assert!(orders.signals.wants_back());
        drop(wish);
        orders.begin(Some(command(2, 6).id));
        assert!(!orders.signals.wants_back());
    }

    #[test]
    fn only_so_many_orders_wait() {
        let dir = tempfile::tempdir().unwrap();
        let (orders, _taken) = orders(dir.path());
        for id in 0..MAX_ORDERS as u128 {
            assert_eq!(orders.take(command(id, 1), at(0)).unwrap(), Taken::Queued);
        }
        assert_eq!(orders.take(command(99, 1), at(0)).unwrap(), Taken::Full);
    }

    #[test]
    fn an_order_ages_with_the_clock_but_never_below_nothing() {
        let order = Order {
            command: command(1, 1),
            received_at: at(1000),
            taken: None,
        };
        assert_eq!(age(&order, at(1060)), Duration::from_mins(1));
        assert_eq!(age(&order, at(0)), Duration::ZERO, "a clock set back");
        let taken = Order {
            taken: Some(Instant::now()),
            ..order
        };
        assert!(
            age(&taken, at(2_000_000_000)) < Duration::from_hours(1),
            "a clock set right"
        );
    }
}
