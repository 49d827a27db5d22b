//! What the two ways in for heartbeats have in common.

use axum::{Json, http::StatusCode};
use plugmend_shared::protocol::{
    heartbeat::{Heartbeat, HeartbeatAnswer, Tuning},
    problem::codes,
};

use super::{ApiError, AppState};
use crate::{
    domain::heartbeat::{HeartbeatError, check},
    service::ingest::{Arrival, IngestError, Proof},
};

/// Checks a heartbeat, commits it, and answers with the orders that wait.
///
/// # Errors
/// 400 when it says what can not be, 401 when its sender may not say it, 503 when it can not be stored now.
pub async fn take(
    state: &AppState,
    heartbeat: Heartbeat,
    proof: Proof,
    capabilities: Option<Vec<String>>,
) -> Result<Json<HeartbeatAnswer>, ApiError> {
    check(&heartbeat, state.clock.now())?;
    if let (Some(held), Proof::Agent) = (&heartbeat.audit, &proof) {
        state.audit.heard(&state.db, held).await?;
    }
    let commands = state
        .ingest
        .take(Arrival {
            heartbeat,
            proof,
            capabilities,
        })
        .await?;
    let tuning = Tuning {
        heartbeat_interval_s: state.heartbeat_interval_s,
        health: None,
    };
    Ok(Json(HeartbeatAnswer {
        ok: true,
        commands,
        tuning: Some(tuning),
        audit: state.audit.note().map(|note| note.to_string()),
    }))
}

/// 401 in the reference system's words.
pub fn unauthorized(detail: &str) -> ApiError {
    ApiError::problem(
        StatusCode::UNAUTHORIZED,
        codes::UNAUTHORIZED,
        "The plugin is not who it says it is",
    )
    .detail(detail)
}

impl From<HeartbeatError> for ApiError {
    fn from(error: HeartbeatError) -> Self {
        let code = match error {
            HeartbeatError::Skew => "clock_skew",
            HeartbeatError::Window(_) | HeartbeatError::WindowTime { .. } => "invalid_window",
            HeartbeatError::Field { .. } => "invalid_field",
        };
        Self::bad_request(code, "The heartbeat says what can not be").detail(error.to_string())
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Full | IngestError::Held | IngestError::Unavailable => Self::busy(),
            IngestError::Unauthorized(why) => unauthorized(why),
            IngestError::Failed => Self::internal(error),
        }
    }
}
