//! `POST /api/plugins/heartbeat` of a plugin without agent.

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use plugmend_shared::{
    ids::{MerchantId, PluginId},
    protocol::{MAX_BODY_BYTES, heartbeat::HeartbeatAnswer},
};
use serde_json::Value;

use super::{reference, secret_hash};
use crate::{
    http::{
        ApiError, AppState, body,
        heartbeat::{self, unauthorized},
    },
    service::ingest::Proof,
    store,
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
    // Strangers wait in no queue, and hold nobody's row. Whether the secret still counts is asked once more on the way.
    let owner = store::plugin::find_by_secret(&state.db, &hash, state.clock.now()).await?;
    if owner != Some((declared.heartbeat.plugin_id, declared.heartbeat.merchant_id)) {
        return Err(unauthorized("plugin, merchant and secret do not belong together"));
    }
    heartbeat::take(&state, declared.heartbeat, Proof::Secret(hash), declared.capabilities).await
}
