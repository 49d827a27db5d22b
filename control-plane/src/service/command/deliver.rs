//! Which orders go to a plugin now: one at a time (but for a way back), under a growing generation.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    generation::Generation,
    ids::PluginId,
    protocol::command::{Command, CommandKind},
};
use uuid::Uuid;

use crate::{
    domain::command::{Change, InFlight, Order, Stage, State, dispatch, give_up_waiting, may_pass},
    store::{self, StoreError, Tx},
};

/// Who is listening.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Which plugin.
    pub id: PluginId,
    /// Whether through an agent, which can do everything.
    pub agent_managed: bool,
    /// What it can do without one.
    pub capabilities: Vec<String>,
}

impl Recipient {
    /// Whether it can carry out such orders.
    pub fn can(&self, kind: CommandKind) -> bool {
        self.agent_managed || self.capabilities.iter().any(|capability| capability == kind.as_str())
    }
}

/// Takes the orders that are due for plugins whose rows are held, and marks them sent. An order that was sent longer
/// than `resend_after` ago without an echo is handed over again, as it was: its first delivery may have been lost.
///
/// # Errors
/// When the database fails.
pub async fn take_due(
    tx: &mut Tx,
    recipients: &[Recipient],
    now: Timestamp,
    resend_after: SignedDuration,
) -> Result<HashMap<PluginId, Vec<Command>>, StoreError> {
    let ids: Vec<Uuid> = recipients.iter().map(|recipient| recipient.id.0).collect();
    let mut waiting: HashMap<PluginId, Vec<Order>> = HashMap::new();
    for order in store::command::lock_waiting(tx, &ids).await? {
        waiting.entry(order.plugin_id).or_default().push(order);
    }
    let mut out = HashMap::new();
    let mut to_send = Vec::new();
    for recipient in recipients {
        let Some(orders) = waiting.remove(&recipient.id) else {
            continue;
        };
        match choose(&orders, recipient, now, resend_after) {
            Choice::Nothing => {}
            Choice::Again(order, flight) => {
                let again = Order {
                    state: State::InFlight(InFlight { sent_at: now, ..flight }),
                    ..order.clone()
                };
                store::command::save(tx, order, &again, now).await?;
                out.insert(recipient.id, vec![on_the_wire(order, flight.generation, now)]);
            }
            Choice::Send(order) => to_send.push(order.clone()),
        }
    }
    send(tx, to_send, now, &mut out).await?;
    Ok(out)
}

enum Choice<'a> {
    Nothing,
    Again(&'a Order, InFlight),
    Send(&'a Order),
}

fn choose<'a>(orders: &'a [Order], recipient: &Recipient, now: Timestamp, resend_after: SignedDuration) -> Choice<'a> {
    let in_flight: Vec<(&Order, InFlight)> = orders
        .iter()
        .filter_map(|order| match order.state {
            State::InFlight(flight) => Some((order, flight)),
            _ => None,
        })
        .collect();
    let ahead: Vec<&Order> = in_flight.iter().map(|(order, _)| *order).collect();
    let next = orders.iter().find(|order| {
        let is_due = match order.state {
            State::Pending { not_before, .. } => not_before.is_none_or(|earliest| earliest <= now),
            _ => false,
        };
        is_due
            && recipient.can(order.kind)
            && (ahead.is_empty() || recipient.agent_managed && may_pass(order, &ahead))
            // What has expired is ended by the reconciler, not sent.
            && give_up_waiting(order, now, 0) == Change::None
    });
    if let Some(order) = next {
        return Choice::Send(order);
    }
    let again = in_flight.into_iter().find(|(order, flight)| {
        flight.stage == Stage::Sent && now < order.expires_at && now.duration_since(flight.sent_at) >= resend_after
    });
    again.map_or(Choice::Nothing, |(order, flight)| Choice::Again(order, flight))
}

async fn send(
    tx: &mut Tx,
    orders: Vec<Order>,
    now: Timestamp,
    out: &mut HashMap<PluginId, Vec<Command>>,
) -> Result<(), StoreError> {
    if orders.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = orders.iter().map(|order| order.plugin_id.0).collect();
    let generations: HashMap<PluginId, Generation> =
        store::command::next_generations(tx, &ids).await?.into_iter().collect();
    for order in orders {
        let Some(generation) = generations.get(&order.plugin_id).copied() else {
            continue;
        };
        match dispatch(&order, generation, now) {
            Ok(Change::To { state, retries }) => {
                let sent = Order {
                    retries,
                    state,
                    ..order.clone()
                };
                store::command::save(tx, &order, &sent, now).await?;
                if matches!(sent.state, State::InFlight(_)) {
                    out.insert(order.plugin_id, vec![on_the_wire(&order, generation, now)]);
                }
            }
            Ok(Change::None) => {}
            Err(illegal) => tracing::warn!(command = %order.id, error = %illegal, "an order could not be sent"),
        }
    }
    Ok(())
}

fn on_the_wire(order: &Order, generation: Generation, now: Timestamp) -> Command {
    let mut payload = order.payload.clone();
    payload.generation = generation;
    // A duration, so that a wrong clock on the host does no harm.
    payload.expires_in_s = Some(u64::try_from(order.expires_at.duration_since(now).as_secs()).unwrap_or(0));
    Command {
        id: order.id,
        kind: order.kind,
        payload,
    }
}
