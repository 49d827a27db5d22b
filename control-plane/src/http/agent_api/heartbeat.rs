//! `POST /api/plugins/heartbeat` of an agent.

use axum::{Json, body::Body, extract::State, http::StatusCode};
use plugmend_shared::protocol::{
    MAX_HEARTBEAT_BYTES,
    heartbeat::{Heartbeat, HeartbeatAnswer},
};

use super::Agent;
use crate::{
    http::{ApiError, AppState, body, heartbeat},
    service::ingest::Proof,
};

/// Takes a heartbeat whose ids must be those of the sender's certificate.
pub async fn take(
    State(state): State<AppState>,
    agent: Agent,
    request: Body,
) -> Result<Json<HeartbeatAnswer>, ApiError> {
    let bytes = body::read(request, MAX_HEARTBEAT_BYTES).await?;
    let beat: Heartbeat = body::parse(&bytes)?;
    if beat.plugin_id != agent.0.plugin_id || beat.merchant_id != agent.0.merchant_id {
        return Err(
            ApiError::problem(StatusCode::FORBIDDEN, "foreign_plugin", "That is another plugin")
                .detail("the ids in the heartbeat are not those of the certificate"),
        );
    }
    heartbeat::take(&state, beat, Proof::Agent, None).await
}
