//! Port 8443: what agents use.

use axum::Router;

use super::AppState;

/// Every endpoint for agents.
pub fn router() -> Router<AppState> {
    Router::new()
}
