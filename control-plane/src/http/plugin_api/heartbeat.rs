//! `POST /api/plugins/heartbeat` of a plugin without agent.

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use plugmend_shared::{
    ids::{MerchantId, PluginId},
    protocol::{MAX_BODY_BYTES, heartbeat::HeartbeatAnswer},
};
use serde_json::Value;

use super::{reference, secret_hash};
use crate::{
    http::{ApiError, AppState, body, heartbeat},
    service::ingest::Proof,
};

/// What a plugin without agent sends. Fields that are not named here are not looked at.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what `reference::read` takes")]
pub struct PluginHeartbeat {
    /// Which plugin speaks.
    plugin_id: PluginId,
    /// Whose it is.
    merchant_id: MerchantId,
    /// The version it says it runs.
    plugin_version: String,
    /// Where it runs, by name, or with everything that is known of it.
    env: Option<Value>,
    /// Errors in the last 24 hours.
    #[schema(minimum = 0)]
    errors_last_24h: Option<f64>,
    /// Share of webhook deliveries that failed, 0 to 1, over the last hour.
    #[schema(minimum = 0, maximum = 1)]
    webhook_fail_rate: Option<f64>,
    /// Seconds since the plugin started.
    #[schema(minimum = 0)]
    uptime: Option<f64>,
    /// The sender's clock: RFC 3339, or milliseconds since the epoch. Without it, now.
    timestamp: Option<Value>,
    /// The kinds of commands that it can carry out.
    #[schema(max_items = 5)]
    capabilities: Option<Vec<String>>,
}

/// Takes a heartbeat whose sender shows its plugin secret.
#[utoipa::path(
    post,
    path = "/api/plugins/heartbeat",
    tag = "plugin-api",
    request_body = PluginHeartbeat,
    responses((status = 200, description = "It is committed; orders that wait.", body = HeartbeatAnswer))
)]
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
