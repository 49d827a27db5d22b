//! Sending, waiting, trying again, giving up.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{generation::Generation, protocol::command::CommandKind};

use super::state::{Change, Illegal, InFlight, Order, Retries, Stage, State};

/// How long an order is good for unless it says otherwise.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// How often an order is tried again unless it says otherwise.
pub const MAX_RETRIES: u32 = 3;

/// The longest silence after an order was handed over: two and a half heartbeats, so that an agentless plugin, which
/// speaks only then, has its chance.
const SENT_LASTS: SignedDuration = SignedDuration::from_mins(5);
/// The longest time from "I have it" to "I have begun": the agent may be busy with its own recovery.
const ACKNOWLEDGED_LASTS: SignedDuration = SignedDuration::from_mins(15);
/// The longest silence while it is carried out: a large download, the trial, and the extended watch of 30 minutes.
const EXECUTING_LASTS: SignedDuration = SignedDuration::from_hours(2);

const BACKOFF_FIRST_S: u32 = 30;
const BACKOFF_LONGEST_S: u32 = 3600;

/// How long a stage may last.
pub(super) fn lasts(stage: Stage) -> SignedDuration {
    match stage {
        Stage::Sent => SENT_LASTS,
        Stage::Acknowledged => ACKNOWLEDGED_LASTS,
        Stage::Executing => EXECUTING_LASTS,
    }
}

/// `start + by`, at the end of time at most.
pub(super) fn after(start: Timestamp, by: SignedDuration) -> Timestamp {
    start.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How long to wait before try number `count + 2`: doubling from 30 s to an hour, the upper half of it by chance, so
/// that a fleet that failed together does not come back together. `random` is any number.
pub fn backoff(count: u32, random: u32) -> SignedDuration {
    let whole = BACKOFF_FIRST_S
        .saturating_mul(1 << count.min(10))
        .min(BACKOFF_LONGEST_S);
    let half = whole / 2;
    let by_chance = u64::from(random) * u64::from(half) / u64::from(u32::MAX);
    SignedDuration::from_secs(i64::from(half)) + SignedDuration::from_secs(i64::try_from(by_chance).unwrap_or(0))
}

/// Whether an order may be sent although `ahead` are with the plugin's agent: only a way back may, beside one change
/// that the agent has in its hands. Otherwise it would wait behind the watch of what it is to take back, which may last
/// half an hour. Beside a change of which the agent has not said that it has it, a way back that names no version would
/// be taken for one from the release before.
pub fn may_pass(order: &Order, ahead: &[&Order]) -> bool {
    let [change] = ahead else { return false };
    let is_in_hand = matches!(change.state, State::InFlight(flight) if flight.stage > Stage::Sent);
    let is_change = matches!(change.kind, CommandKind::Update | CommandKind::ConfigUpdate);
    order.kind == CommandKind::Rollback && is_change && is_in_hand
}

/// Hands an order over under a new generation; or finds that its time is over.
///
/// # Errors
/// When it does not wait, when it is too early, or when the generation does not grow.
pub fn dispatch(order: &Order, generation: Generation, now: Timestamp) -> Result<Change, Illegal> {
    let State::Pending { last, not_before } = &order.state else {
        return Err(order.state.refuse("sent"));
    };
    if now >= order.expires_at {
        return Ok(Change::To {
            state: expired(*last, now),
            retries: order.retries,
        });
    }
    let too_early = not_before.is_some_and(|earliest| now < earliest);
    if too_early || last.is_some_and(|last| generation <= last) {
        return Err(order.state.refuse("sent"));
    }
    let flight = InFlight {
        generation,
        sent_at: now,
        stage: Stage::Sent,
        deadline: after(now, SENT_LASTS),
    };
    Ok(Change::To {
        state: State::InFlight(flight),
        retries: order.retries,
    })
}

/// What becomes of an order for which nothing was heard: nothing yet, another try, or the end.
pub fn give_up_waiting(order: &Order, now: Timestamp, random: u32) -> Change {
    match &order.state {
        State::Pending { last, .. } if now >= order.expires_at => Change::To {
            state: expired(*last, now),
            retries: order.retries,
        },
        State::InFlight(flight) if now >= flight.deadline => {
            let waited_for = match flight.stage {
                Stage::Sent => "the plugin did not take the order in time",
                Stage::Acknowledged => "the plugin did not begin in time",
                Stage::Executing => "the plugin fell silent while it carried the order out",
            };
            again(order, flight.generation, now, random).unwrap_or_else(|| Change::To {
                state: State::TimedOut {
                    at: now,
                    error: waited_for.to_owned(),
                    last: Some(flight.generation),
                },
                retries: order.retries,
            })
        }
        _ => Change::None,
    }
}

/// Another try later, if one is left and the order will still be good by then.
pub(super) fn again(order: &Order, last: Generation, now: Timestamp, random: u32) -> Option<Change> {
    let retries: Retries = order.retries.one_more()?;
    let not_before = after(now, backoff(order.retries.count, random));
    (not_before < order.expires_at).then_some(Change::To {
        state: State::Pending {
            last: Some(last),
            not_before: Some(not_before),
        },
        retries,
    })
}

fn expired(last: Option<Generation>, now: Timestamp) -> State {
    State::TimedOut {
        at: now,
        error: "the order expired before it could be sent".to_owned(),
        last,
    }
}
