//! The only place with axum: what agents, plugins and people ask, and how they are answered.

pub mod address_rates;
pub mod agent_api;
pub mod auth;
mod body;
pub mod console;
mod health;
mod heartbeat;
pub mod layers;
pub mod ops_api;
mod plugin_api;
pub mod problem;
mod query;
mod reports;
mod server;
mod staging_api;
mod state;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};
use secrecy::SecretString;

use agent_api::gateway::Gateway;
pub use body::JsonBody;
pub use problem::ApiError;
pub use query::QueryParams;
pub use server::serve_plain;
pub use staging_api::staging_router;
pub use state::AppState;

/// What listens on 8112: the reference endpoints for agentless plugins, the ops API, and health.
pub fn api_router(state: AppState) -> Router {
    layers::around(api_routes().with_state(state))
}

/// The same, and the release repository for whoever says the staging runner's token.
pub fn api_router_with_repository(state: AppState, token: &SecretString) -> Router {
    let repository = Router::new()
        .route("/repo/metadata/{file}", get(agent_api::repository::metadata_for_runner))
        .route("/repo/targets/{*path}", get(agent_api::repository::target_for_runner))
        .with_state(state.clone());
    let repository = staging_api::behind_token(repository, token);
    layers::around(api_routes().with_state(state).merge(repository))
}

/// What people see in a browser, beside the API.
pub fn with_console(api: Router, sign_in: Option<console::SignIn>) -> Router {
    api.merge(console::router(sign_in))
}

fn api_routes() -> Router<AppState> {
    Router::new()
        .merge(health::router())
        .merge(plugin_api::router())
        .merge(ops_api::router())
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
