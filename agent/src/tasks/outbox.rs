//! Sends results until the control plane has them.

use std::time::Duration;

use plugmend_shared::{
    ids::CommandId,
    protocol::{command::Fail, problem::Problem},
};
use tokio::{sync::watch, time::sleep};
use tracing::warn;

use super::{
    Common,
    board::{Standing, chain},
    unless_stopped,
};
use crate::{
    domain::schedule::backoff,
    store::{Answer, StoreError},
    upstream::client::ClientError,
};

/// The backoff grows to this.
const CEILING: Duration = Duration::from_mins(2);

/// Sends what waits: at once when something is new or the control plane answers again, and in between with backoff.
pub async fn run(common: Common, mut stop: watch::Receiver<bool>) {
    let mut standing = common.board.standing();
    let mut failures = 0u32;
    loop {
        let may_speak = async { standing.wait_for(Standing::may_speak).await.is_ok() };
        if unless_stopped(may_speak, &mut stop).await != Some(true) {
            return;
        }
        let arrived = common.answers.notified();
        let Some(sent) = unless_stopped(send_all(&common), &mut stop).await else {
            return;
        };
        let done = match sent {
            Ok(done) => done,
            Err(error) => {
                common.board.trouble("outbox", Some(chain(&error)));
                false
            }
        };
        failures = if done { 0 } else { failures.saturating_add(1) };
        let again = async {
            if done {
                arrived.await;
            } else {
                tokio::select! {
                    () = sleep(backoff(failures, CEILING, (common.random)())) => {}
                    () = arrived => {}
                }
            }
        };
        if unless_stopped(again, &mut stop).await.is_none() {
            return;
        }
    }
}

/// Sends every result that waits; stops at the first that does not get through. Whether all got through.
async fn send_all(common: &Common) -> Result<bool, StoreError> {
    for (id, answer) in common.kept.unanswered()? {
        let result = send(common, id, &answer).await;
        common.board.outcome(&result, common.clock.now());
        match result {
            Ok(()) => common.kept.answered(id, &answer)?,
            Err(ClientError::Refused(problem)) => {
                warn!(%id, code = problem.code, "the control plane does not take the result: {}", problem.title);
                if !settled_without(common, id, &answer, &problem).await {
                    return Ok(false);
                }
                common.kept.answered(id, &answer)?;
            }
            Err(error) => {
                tracing::debug!(%id, "the result waits: {}", chain(&error));
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether nothing more is to be said about a result that was refused. Where the order ended without us (timed out,
/// cancelled) or was never ours, saying it again changes nothing. Where the words themselves are not taken, plain ones
/// end the order: else it would hold up the next ones until its time is over.
async fn settled_without(common: &Common, id: CommandId, answer: &Answer, problem: &Problem) -> bool {
    if matches!(problem.status, 404 | 409) {
        return true;
    }
    let result = common.client.fail(id, &unreportable(answer, problem)).await;
    matches!(result, Ok(()) | Err(ClientError::Refused(_)))
}

fn unreportable(answer: &Answer, problem: &Problem) -> Fail {
    let (was, generation) = match answer {
        Answer::Ack(ack) => ("was carried out", ack.generation),
        Answer::Fail(fail) => ("failed", fail.generation),
    };
    Fail {
        error: format!(
            "unreportable: the order {was}; the report was refused as {}",
            problem.code
        ),
        retryable: Some(false),
        result: None,
        generation,
    }
}

async fn send(common: &Common, id: CommandId, answer: &Answer) -> Result<(), ClientError> {
    match answer {
        Answer::Ack(ack) => common.client.ack(id, ack).await,
        Answer::Fail(fail) => common.client.fail(id, fail).await,
    }
}
