//! What the two ways in for reports about orders have in common.

use axum::{Json, http::StatusCode};
use plugmend_shared::{
    ids::CommandId,
    protocol::{
        command::{Ack, Fail, Progress, ProgressState},
        problem::codes,
    },
};
use serde::Serialize;

use super::{ApiError, AppState};
use crate::{
    domain::command::{Report, ReportKind, Stage},
    service::command::{ReportError, Reporter, report},
};

/// The longest error text that is kept, in characters.
const MAX_ERROR: usize = 4000;

/// Something that a plugin says about an order.
#[derive(Debug)]
pub enum Said {
    /// Carried out.
    Ack(Ack),
    /// Not carried out.
    Fail(Fail),
    /// On the way.
    Progress(Progress),
}

/// It is noted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Done {
    /// Always true; failures are problems (RFC 9457).
    ok: bool,
}

/// Takes a report about the order named in the path.
///
/// # Errors
/// 404 when there is no such order for this plugin, 409 when it has ended otherwise, 503 when it can not be stored.
pub async fn take(state: &AppState, who: Reporter, id: &str, said: Said) -> Result<Json<Done>, ApiError> {
    let id: CommandId = id.parse().map_err(|_| unknown())?;
    let progress = match &said {
        Said::Progress(progress) if progress.done.is_some_and(|done| !(0.0..=1.0).contains(&done)) => {
            return Err(
                ApiError::bad_request("invalid_field", "A field can not be read").detail("done is a share from 0 to 1")
            );
        }
        Said::Progress(progress) => Some(progress.clone()),
        _ => None,
    };
    let random = u32::from_le_bytes(state.entropy.bytes()?);
    let now = state.clock.now();
    report(&state.db, who, id, said.into(), progress.as_ref(), now, random).await?;
    Ok(Json(Done { ok: true }))
}

/// There is no such order, or it is another plugin's: which of the two is not said.
pub fn unknown() -> ApiError {
    ApiError::not_found(codes::UNKNOWN_COMMAND, "There is no such command for this plugin")
}

impl From<Said> for Report {
    fn from(said: Said) -> Self {
        match said {
            Said::Ack(ack) => Self {
                generation: ack.generation,
                kind: ReportKind::Completed { result: ack.result },
            },
            Said::Fail(fail) => Self {
                generation: fail.generation,
                kind: ReportKind::Failed {
                    error: fail.error.chars().take(MAX_ERROR).collect(),
                    retryable: fail.retryable.unwrap_or(true),
                    result: fail.result,
                },
            },
            Said::Progress(progress) => Self {
                generation: progress.generation,
                kind: ReportKind::Reached(match progress.state {
                    ProgressState::Acknowledged => Stage::Acknowledged,
                    ProgressState::Executing => Stage::Executing,
                }),
            },
        }
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Unknown => unknown(),
            ReportError::Ended(illegal) => Self::problem(
                StatusCode::CONFLICT,
                codes::COMMAND_ENDED,
                "The command has ended otherwise",
            )
            .detail(illegal.to_string()),
            ReportError::Store(error) => error.into(),
        }
    }
}
