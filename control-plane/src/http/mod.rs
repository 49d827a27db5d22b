//! The only place with axum: what agents, plugins and people ask, and how they are answered.

pub mod address_rates;
pub mod agent_api;
pub mod auth;
mod body;
mod health;
mod heartbeat;
pub mod layers;
pub mod ops_api;
mod plugin_api;
pub mod problem;
mod query;
mod reports;
mod server;
mod state;

use std::sync::Arc;

use axum::{Router, middleware};

use agent_api::gateway::Gateway;
pub use body::JsonBody;
pub use problem::ApiError;
pub use query::QueryParams;
pub use server::serve_plain;
pub use state::AppState;

/// What listens on 8112: the reference endpoints for agentless plugins, the ops API, and health.
pub fn api_router(state: AppState) -> Router {
    let routes = Router::new()
        .merge(health::router())
        .merge(plugin_api::router())
        .merge(ops_api::router());
    layers::around(routes.with_state(state))
}

/// What listens on 8443, behind mutual TLS: everything but enrolment is for agents in good standing.
pub fn gateway_router(state: AppState, gateway: Arc<Gateway>) -> Router {
    let keeper = middleware::from_fn_with_state(gateway.clone(), agent_api::admission::ordinary);
    let agents = agent_api::router().route_layer(keeper).with_state(state);
    layers::around(agents.merge(agent_api::identity::router(gateway)))
}

/// The endpoints for agents without a doorkeeper: whoever serves them puts an
/// [`AgentIdentity`](crate::domain::identity::AgentIdentity) into each request's extensions, or they refuse it.
pub fn agent_router(state: AppState) -> Router {
    layers::around(agent_api::router().with_state(state))
}
