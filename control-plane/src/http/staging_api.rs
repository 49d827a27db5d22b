//! Port 9000: the staging runner.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use plugmend_shared::clock::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{ApiError, JsonBody, layers};
use crate::staging::{
    RunBody,
    runner::{RunError, Runner},
};

/// Seconds after which there may be room again.
const RETRY_AFTER_S: u32 = 15;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    runner: Arc<Runner>,
    clock: Arc<dyn Clock>,
}

/// What listens on 9000: `POST /run` behind the token, and health.
pub fn staging_router(runner: Arc<Runner>, clock: Arc<dyn Clock>, token: &SecretString) -> Router {
    let shared = Shared { runner, clock };
    let run = Router::new().route("/run", post(run));
    let run = behind_token(run.with_state(shared.clone()), token);
    let health = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready));
    layers::around(run.merge(health.with_state(shared)))
}

/// The same routes, for those who say the token.
pub fn behind_token<S: Clone + Send + Sync + 'static>(router: Router<S>, token: &SecretString) -> Router<S> {
    // Compared by digest: then the lengths are the same, and the time says nothing.
    let wanted: [u8; 32] = Sha256::digest(token.expose_secret().as_bytes()).into();
    router.route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let said = request.headers().get(header::AUTHORIZATION);
        let said = said.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let said: [u8; 32] = Sha256::digest(said.unwrap_or_default()).into();
        if bool::from(said.ct_eq(&wanted)) {
            next.run(request).await
        } else {
            ApiError::problem(StatusCode::UNAUTHORIZED, "unauthorized", "The runner's token is wanted").into_response()
        }
    }))
}

async fn alive() -> &'static str {
    "ok\n"
}

/// Ready is who can confine a test.
async fn ready(State(shared): State<Shared>) -> Result<String, ApiError> {
    let looked = tokio::task::spawn_blocking(move || shared.runner.protection()).await;
    let protection = looked.map_err(ApiError::internal)?.map_err(|error| sort(&error))?;
    Ok(format!("ready: a test {}\n", protection.words()))
}

async fn run(State(shared): State<Shared>, JsonBody(body): JsonBody<RunBody>) -> Result<Response, ApiError> {
    let now = shared.clock.now();
    match shared.runner.run(&body, now).await {
        Ok(result) => {
            tracing::info!(
                merchant_id = %body.merchant_id, plugin_id = %body.plugin_id, version = %body.version,
                passed = result.passed, tests_run = result.tests_run, duration_ms = result.duration_ms,
                "a release was tried out"
            );
            let answer = json!({
                "ok": true, "passed": result.passed, "tests_run": result.tests_run,
                "duration_ms": result.duration_ms, "errors": result.errors, "logs": result.logs,
            });
            Ok(Json(answer).into_response())
        }
        Err(error) => {
            tracing::warn!(
                plugin_id = %body.plugin_id, version = %body.version, error = error.chain(),
                "a release was not tried out"
            );
            Err(sort(&error))
        }
    }
}

fn sort(error: &RunError) -> ApiError {
    if matches!(error, RunError::Busy) {
        return ApiError::Busy {
            retry_after_s: RETRY_AFTER_S,
            source: None,
        };
    }
    let status = if error.is_refusal() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    // The caller is the control plane, and a person there reads it.
    ApiError::problem(status, "not_run", "The release was not tried out").detail(error.chain())
}
