//! Orders of an agent: the long poll, and what it reports.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
};
use plugmend_shared::protocol::{
    LONG_POLL_SECONDS,
    command::{Ack, CommandList, Fail, Go, Progress},
};
use serde::Deserialize;

use super::Agent;
use crate::{
    domain::command::withdrawn,
    http::{
        ApiError, AppState, JsonBody,
        query::QueryParams,
        reports::{self, Done, Said},
    },
    service::command::PollError,
    store,
};

/// The query of a poll.
#[derive(Debug, Deserialize)]
pub struct Poll {
    /// Seconds to wait for an order; 55 at most, 0 when absent.
    #[serde(default)]
    wait: u64,
}

/// `GET /api/plugins/commands?wait=`.
pub async fn poll(
    State(state): State<AppState>,
    agent: Agent,
    QueryParams(poll): QueryParams<Poll>,
) -> Result<Json<CommandList>, ApiError> {
    let wait = Duration::from_secs(poll.wait.min(LONG_POLL_SECONDS));
    let commands = state.polls.wait(agent.0.plugin_id, wait).await?;
    Ok(Json(CommandList { commands }))
}

/// `GET /api/plugins/commands/{id}/go`: the last word before a plugin is changed. Anything but `go: true` means stay.
pub async fn go(State(state): State<AppState>, agent: Agent, Path(id): Path<String>) -> Result<Json<Go>, ApiError> {
    let unknown = reports::unknown;
    let id = id.parse().map_err(|_| unknown())?;
    let standing = store::command::standing(&state.db, agent.0.plugin_id, id).await?;
    let reason = withdrawn(&standing.ok_or_else(unknown)?).map(str::to_owned);
    Ok(Json(Go {
        go: reason.is_none(),
        reason,
    }))
}

/// `POST /api/plugins/commands/{id}/ack`.
pub async fn ack(
    State(state): State<AppState>,
    agent: Agent,
    Path(id): Path<String>,
    JsonBody(ack): JsonBody<Ack>,
) -> Result<Json<Done>, ApiError> {
    reports::take(&state, agent.reporter(), &id, Said::Ack(ack)).await
}

/// `POST /api/plugins/commands/{id}/progress`.
pub async fn progress(
    State(state): State<AppState>,
    agent: Agent,
    Path(id): Path<String>,
    JsonBody(progress): JsonBody<Progress>,
) -> Result<Json<Done>, ApiError> {
    reports::take(&state, agent.reporter(), &id, Said::Progress(progress)).await
}

/// `POST /api/plugins/commands/{id}/fail`.
pub async fn fail(
    State(state): State<AppState>,
    agent: Agent,
    Path(id): Path<String>,
    JsonBody(fail): JsonBody<Fail>,
) -> Result<Json<Done>, ApiError> {
    reports::take(&state, agent.reporter(), &id, Said::Fail(fail)).await
}

impl From<PollError> for ApiError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::TooMany(_) => Self::busy(),
            PollError::Store(error) => error.into(),
        }
    }
}
