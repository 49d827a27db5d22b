//! Port 8443: what agents use.

pub mod admission;
mod commands;
pub mod gateway;
mod heartbeat;
pub mod identity;
pub mod listener;
pub mod peer;
mod places;
pub mod rates;
pub(super) mod repository;
mod strangers;

use axum::{
    Router,
    extract::{Extension, FromRequestParts},
    http::{StatusCode, request::Parts},
    routing::{get, post},
};

use plugmend_shared::protocol::problem::codes;

use super::{ApiError, AppState};
use crate::{domain::identity::AgentIdentity, service::command::Reporter};

/// Every endpoint for agents.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/api/plugins/heartbeat", post(heartbeat::take))
        .route("/api/plugins/commands", get(commands::poll))
        .route("/repo/metadata/{file}", get(repository::metadata))
        .route("/repo/targets/{*path}", get(repository::target))
        .route("/api/plugins/commands/{id}/go", get(commands::go))
        .route("/api/plugins/commands/{id}/ack", post(commands::ack))
        .route("/api/plugins/commands/{id}/progress", post(commands::progress))
        .route("/api/plugins/commands/{id}/fail", post(commands::fail))
}

/// The agent behind a request. A request without one (the listener found no certificate) is refused here, so that no
/// handler can forget to.
struct Agent(AgentIdentity);

impl Agent {
    fn reporter(&self) -> Reporter {
        Reporter {
            plugin_id: self.0.plugin_id,
            merchant_id: self.0.merchant_id,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Agent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Extension::from_request_parts(parts, state)
            .await
            .map(|Extension(identity)| Self(identity))
            .map_err(|_| {
                ApiError::problem(
                    StatusCode::UNAUTHORIZED,
                    codes::CERTIFICATE_REQUIRED,
                    "A client certificate is wanted",
                )
                .detail("enrol this agent, and speak with the certificate it is given")
            })
    }
}
