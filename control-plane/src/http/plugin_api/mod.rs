//! Port 8112, the reference system's endpoints: what plugins without agent use, with their plugin secret.

mod commands;
mod heartbeat;
mod reference;

use axum::http::HeaderMap;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ApiError, AppState, auth, heartbeat::unauthorized};

/// Every endpoint for plugins without agent.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(heartbeat::take))
        .routes(routes!(commands::ack))
        .routes(routes!(commands::fail))
}

/// The longest plugin secret that is looked at, in bytes.
const MAX_SECRET: usize = 200;

/// The keyed hash of the plugin secret in the request.
fn secret_hash(state: &AppState, headers: &HeaderMap) -> Result<[u8; 32], ApiError> {
    auth::bearer(headers)
        .filter(|secret| secret.len() <= MAX_SECRET)
        .map(|secret| state.secrets.hash(secret))
        .ok_or_else(|| unauthorized("send 'Authorization: Bearer <plugin secret>'"))
}
