//! `POST /api/plugins/commands/{id}/ack` and `/fail` of a plugin without agent.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
};
use plugmend_shared::protocol::command::{Ack, Fail};
use serde_json::Value;

use super::secret_hash;
use crate::{
    http::{
        ApiError, AppState, JsonBody,
        heartbeat::unauthorized,
        reports::{self, Said},
    },
    service::command::Reporter,
    store,
};

/// The order was carried out.
pub async fn ack(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(ack): JsonBody<Ack>,
) -> Result<Json<Value>, ApiError> {
    reports::take(&state, reporter(&state, &headers).await?, &id, Said::Ack(ack)).await
}

/// The order was not carried out.
pub async fn fail(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(fail): JsonBody<Fail>,
) -> Result<Json<Value>, ApiError> {
    reports::take(&state, reporter(&state, &headers).await?, &id, Said::Fail(fail)).await
}

/// Whose secret it is. The path names an order only, so the secret says which plugin speaks.
async fn reporter(state: &AppState, headers: &HeaderMap) -> Result<Reporter, ApiError> {
    let hash = secret_hash(state, headers)?;
    let (plugin_id, merchant_id) = store::plugin::find_by_secret(&state.db, &hash, state.clock.now())
        .await?
        .ok_or_else(|| unauthorized("the plugin secret is not one of ours"))?;
    Ok(Reporter { plugin_id, merchant_id })
}
