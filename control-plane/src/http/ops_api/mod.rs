//! Port 8112: what people, integrations and agentless plugins use.

use axum::Router;

use super::AppState;

/// Every endpoint for people.
pub fn router() -> Router<AppState> {
    Router::new()
}
