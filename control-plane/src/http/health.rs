//! `GET /healthz` (the process runs) and `GET /readyz` (it can serve: the database answers and is up to date).

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ApiError, AppState};

/// The two endpoints.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(alive)).routes(routes!(ready))
}

/// The process runs.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "The process runs.", body = String, content_type = "text/plain"))
)]
async fn alive() -> &'static str {
    "ok\n"
}

/// It can serve: the database answers and is up to date.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses((status = 200, description = "It can serve.", body = String, content_type = "text/plain"))
)]
async fn ready(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    state.db.ready().await?;
    Ok("ready\n")
}
