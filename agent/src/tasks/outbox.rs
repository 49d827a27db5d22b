//! Sends results until the control plane has them.

use plugmend_shared::ids::CommandId;
use tracing::warn;

use super::{Common, board::chain};
use crate::{
    store::{Answer, StoreError},
    upstream::client::ClientError,
};

/// Sends every result that waits; stops at the first that does not get through. Whether all got through.
///
/// # Errors
/// When the outbox can not be read or written.
pub(super) async fn send_all(common: &Common) -> Result<bool, StoreError> {
    for (id, answer) in common.kept.unanswered()? {
        let result = send(common, id, &answer).await;
        common.board.outcome(&result, common.clock.now());
        match result {
            Ok(()) => common.kept.answered(id)?,
            // It ended without us (timed out, cancelled), or was never ours: saying it again changes nothing.
            Err(ClientError::Refused(problem)) => {
                warn!(%id, code = problem.code, "the control plane does not take the result: {}", problem.title);
                common.kept.answered(id)?;
            }
            Err(error) => {
                tracing::debug!(%id, "the result waits: {}", chain(&error));
                return Ok(false);
            }
        }
    }
    Ok(true)
}

async fn send(common: &Common, id: CommandId, answer: &Answer) -> Result<(), ClientError> {
    match answer {
        Answer::Ack(ack) => common.client.ack(id, ack).await,
        Answer::Fail(fail) => common.client.fail(id, fail).await,
    }
}
