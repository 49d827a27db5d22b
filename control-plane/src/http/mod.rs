//! The only place with axum: what agents, plugins and people ask, and how they are answered.

pub mod address_rates;
pub mod agent_api;
pub mod auth;
mod body;
pub mod console;
mod health;
mod heartbeat;
pub mod layers;
pub mod metrics;
pub mod openapi;
pub mod ops_api;
mod plugin_api;
pub mod problem;
mod query;
mod reports;
mod server;
mod staging_api;
mod state;

use std::sync::Arc;

use anyhow::Context as _;
use axum::{Extension, Router, middleware};
use secrecy::SecretString;
use utoipa_axum::router::OpenApiRouter;

use agent_api::gateway::Gateway;
pub use body::JsonBody;
pub use openapi::Document;
pub use problem::ApiError;
pub use query::QueryParams;
pub use server::serve_plain;
pub use staging_api::staging_router;
pub use state::AppState;

/// What listens on 8112: the reference endpoints for agentless plugins, the ops API, and health.
///
/// # Errors
/// When its OpenAPI document can not be written.
pub fn api_router(state: AppState) -> anyhow::Result<Router> {
    assemble(state, None)
}

/// The same, and the release repository for whoever says the staging runner's token.
///
/// # Errors
/// As [`api_router`].
pub fn api_router_with_repository(state: AppState, token: &SecretString) -> anyhow::Result<Router> {
    assemble(state, Some(token))
}

/// What people see in a browser, beside the API.
pub fn with_console(api: Router, sign_in: Option<console::SignIn>) -> Router {
    api.merge(console::router(sign_in))
}

fn assemble(state: AppState, token: Option<&SecretString>) -> anyhow::Result<Router> {
    let mut routes = endpoints().split_for_parts().0;
    if let Some(token) = token {
        let (repository, _) = agent_api::repository::runners_router().split_for_parts();
        routes = routes.merge(staging_api::behind_token(repository, token));
    }
    let document = document()?;
    let routes = auth::guarded(routes, &state, auth::rates::CallerRates::default()).layer(Extension(document));
    Ok(layers::around(routes.with_state(state)))
}

/// The OpenAPI document of everything that port 8112 can serve.
///
/// # Errors
/// Never, for what is made of text.
pub fn document() -> anyhow::Result<Document> {
    let all = endpoints().merge(agent_api::repository::runners_router());
    Document::new(all.into_openapi()).context("can not write the OpenAPI document")
}

fn endpoints() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::blank())
        .merge(health::router())
        .merge(metrics::router())
        .merge(plugin_api::router())
        .merge(ops_api::router())
        .merge(openapi::router())
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
