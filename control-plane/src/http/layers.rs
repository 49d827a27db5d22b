//! What goes around every request: an id, a trace, a catch for panics.

use std::time::Instant;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    protocol::problem::PROBLEM_JSON,
};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use super::{ApiError, problem};
use crate::service::Entropy;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over from a proxy.
const MAX_REQUEST_ID: usize = 64;

/// Puts the layers around a router, and gives an answer to what nobody serves.
pub fn around(router: Router) -> Router {
    let entropy = Entropy::new();
    router
        .fallback(nobody)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::map_response(in_our_words))
        .layer(CatchPanicLayer::custom(|_panic: Box<dyn std::any::Any + Send>| {
            problem::ApiError::internal(anyhow::anyhow!("a handler panicked")).into_response()
        }))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let entropy = entropy.clone();
            async move { trace(&entropy, request, next).await }
        }))
}

/// Refusals that come from below (a path that is no text, a body that is too long) say the same as ours: problems.
async fn in_our_words(response: Response) -> Response {
    let (code, title) = match response.status() {
        StatusCode::BAD_REQUEST => ("bad_request", "The request can not be read"),
        StatusCode::NOT_FOUND => ("unknown_path", "There is nothing at this path"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "The body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "The body is not of the type that is wanted"),
        StatusCode::UNPROCESSABLE_ENTITY => ("unprocessable", "The request is refused for what it says"),
        _ => return response,
    };
    let type_of = response.headers().get(header::CONTENT_TYPE);
    if type_of.is_some_and(|value| value == PROBLEM_JSON) {
        return response;
    }
    ApiError::problem(response.status(), code, title).into_response()
}

async fn nobody() -> ApiError {
    ApiError::not_found("unknown_path", "There is nothing at this path")
}

async fn wrong_method() -> ApiError {
    ApiError::problem(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path is served, but not with this method",
    )
}

async fn trace(entropy: &Entropy, request: Request, next: Next) -> Response {
    let id = request_id(entropy, &request);
    // The route, not the path: ids would make a line of each.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let begun = Instant::now();
    let span = tracing::debug_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    let labels = [
        ("path", route.unwrap_or_else(|| "none".to_owned())),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::histogram!("plugmend_http_request_seconds", &labels).record(begun.elapsed().as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response
}

/// The proxy's id when it is short and plain, else one of our own.
fn request_id(entropy: &Entropy, request: &Request) -> String {
    let given = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    match given {
        Some(id) => id.to_owned(),
        None => plugmend_shared::ids::CommandId::from_parts(SystemClock.now(), entropy.bytes().unwrap_or_default())
            .to_string(),
    }
}
