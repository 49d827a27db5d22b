//! Waits for orders by long poll.

use std::time::Duration;

use plugmend_shared::protocol::{LONG_POLL_SECONDS, command::Command};
use tokio::sync::watch;

use super::{
    Common,
    board::{Standing, chain},
    orders::Taken,
    rest, unless_stopped,
};
use crate::domain::schedule::backoff;

/// Between two polls that were answered at once and empty: a control plane that does not wait is not hammered.
const SHORTEST: Duration = Duration::from_secs(1);
/// The backoff of polls grows to this.
const CEILING: Duration = Duration::from_mins(2);
/// While the queue is full.
const WHEN_FULL: Duration = Duration::from_secs(5);

/// Polls until the agent stops.
pub async fn poll(common: Common, mut stop: watch::Receiver<bool>) {
    let mut standing = common.board.standing();
    let mut failures = 0;
    loop {
        let may_speak = async { standing.wait_for(Standing::may_speak).await.is_ok() };
        if unless_stopped(may_speak, &mut stop).await != Some(true) {
            return;
        }
        let begun = common.hub.elapsed();
        let Some(result) = unless_stopped(common.client.poll_commands(LONG_POLL_SECONDS), &mut stop).await else {
            return;
        };
        common.board.outcome(&result, common.clock.now());
        let wait = match result {
            Ok(list) => {
                failures = 0;
                pause(take(&common, list.commands), common.hub.elapsed().saturating_sub(begun))
            }
            Err(error) => {
                failures += 1;
                tracing::debug!("the wait for commands failed: {}", chain(&error));
                let wait = backoff(failures, CEILING, (common.random)());
                wait.max(error.retry_after().unwrap_or_default())
            }
        };
        if !rest(wait, &mut stop).await {
            return;
        }
    }
}

/// What the poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    Orders,
    Nothing,
    MoreThanFits,
}

fn take(common: &Common, commands: Vec<Command>) -> Brought {
    let mut brought = Brought::Nothing;
    for command in commands {
        let id = command.id;
        match common.orders.take(command, common.clock.now()) {
            Ok(Taken::Queued) => brought = Brought::Orders,
            Ok(Taken::InHand) => {}
            Ok(Taken::Full) => return Brought::MoreThanFits,
            Err(error) => {
                tracing::error!(%id, "the order can not be kept and is not acknowledged: {}", chain(&error));
                return Brought::MoreThanFits;
            }
        }
    }
    brought
}

fn pause(brought: Brought, took: Duration) -> Duration {
    match brought {
        Brought::Orders => Duration::ZERO,
        Brought::Nothing => SHORTEST.saturating_sub(took),
        Brought::MoreThanFits => WHEN_FULL,
    }
}
