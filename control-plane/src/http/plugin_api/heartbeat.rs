//! `POST /api/plugins/heartbeat` of a plugin without agent.

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use plugmend_shared::protocol::{MAX_BODY_BYTES, heartbeat::HeartbeatAnswer};

use super::{reference, secret_hash};
use crate::{
    http::{ApiError, AppState, body, heartbeat},
    service::ingest::Proof,
};

/// Takes a heartbeat whose sender shows its plugin secret.
pub async fn take(
    State(state): State<AppState>,
    headers: HeaderMap,
    request: Body,
) -> Result<Json<HeartbeatAnswer>, ApiError> {
    let hash = secret_hash(&state, &headers)?;
    let bytes = body::read(request, MAX_BODY_BYTES).await?;
    let declared = reference::read(&bytes, state.clock.now())?;
    heartbeat::take(&state, declared.heartbeat, Proof::Secret(hash), declared.capabilities).await
}
