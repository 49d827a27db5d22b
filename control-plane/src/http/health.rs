//! `GET /healthz` (the process runs) and `GET /readyz` (it can serve: the database answers and is up to date).

use axum::{Router, extract::State, routing::get};

use super::{ApiError, AppState};

/// The two endpoints.
pub fn router() -> Router<AppState> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    state.db.ready().await?;
    Ok("ready\n")
}
