//! `POST /api/plugins/commands/{id}/ack` and `/fail` of a plugin without agent.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::HeaderMap,
};
use plugmend_shared::protocol::{
    MAX_BODY_BYTES,
    command::{Ack, Fail},
};

use super::secret_hash;
use crate::{
    http::{
        ApiError, AppState, body,
        heartbeat::unauthorized,
        openapi::Conflict,
        reports::{self, Done, Said},
    },
    service::command::Reporter,
    store,
};

/// The order was carried out.
#[utoipa::path(
    post,
    path = "/api/plugins/commands/{id}/ack",
    tag = "plugin-api",
    params(("id" = Uuid, Path, description = "The order's id.")),
    request_body = Ack,
    responses((status = 200, description = "It is noted.", body = Done), Conflict)
)]
pub async fn ack(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, ApiError> {
    let who = reporter(&state, &headers).await?;
    let ack: Ack = body::parse(&body::read(body, MAX_BODY_BYTES).await?)?;
    reports::take(&state, who, &id, Said::Ack(ack)).await
}

/// The order was not carried out.
#[utoipa::path(
    post,
    path = "/api/plugins/commands/{id}/fail",
    tag = "plugin-api",
    params(("id" = Uuid, Path, description = "The order's id.")),
    request_body = Fail,
    responses((status = 200, description = "It is noted.", body = Done), Conflict)
)]
pub async fn fail(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Done>, ApiError> {
    let who = reporter(&state, &headers).await?;
    let fail: Fail = body::parse(&body::read(body, MAX_BODY_BYTES).await?)?;
    reports::take(&state, who, &id, Said::Fail(fail)).await
}

/// Whose secret it is. The path names an order only, so the secret says which plugin speaks.
async fn reporter(state: &AppState, headers: &HeaderMap) -> Result<Reporter, ApiError> {
    let hash = secret_hash(state, headers)?;
    let (plugin_id, merchant_id) = store::plugin::find_by_secret(&state.db, &hash, state.clock.now())
        .await?
        .ok_or_else(|| unauthorized("the plugin secret is not one of ours"))?;
    Ok(Reporter { plugin_id, merchant_id })
}
