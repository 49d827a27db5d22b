//! `POST /v1/enrol` (with a token, no certificate) and `POST /v1/renew` (with the last certificate).

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    middleware,
    response::{IntoResponse as _, Response},
    routing::post,
};
use plugmend_shared::protocol::{
    identity::{EnrolRequest, Identity, RenewRequest},
    problem::codes,
};
use tower_http::timeout::TimeoutLayer;

use super::{
    admission,
    gateway::{Gateway, closing, fenced, refused, too_many},
    peer::Peer,
};
use crate::{
    domain::identity::AgentIdentity,
    http::{ApiError, JsonBody},
    service::{
        agent_renewal::AgentRenewalError,
        enrolment::{EnrolmentError, TokenFault},
    },
};

/// How long either may take, body included.
const LONGEST: Duration = Duration::from_secs(30);

/// The two endpoints.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let keeper = middleware::from_fn_with_state(gateway.clone(), admission::renewal);
    Router::new()
        .route("/v1/renew", post(renew).layer(keeper))
        .route("/v1/enrol", post(enrol))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST))
        .with_state(gateway)
}

async fn enrol(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    body: Result<JsonBody<EnrolRequest>, ApiError>,
) -> Response {
    // Counted before anything is read or looked up: guessing tokens must cost the guesser, not us.
    if let Err(wait) = gateway.rates.enrolment(peer.network()) {
        return too_many(wait);
    }
    let JsonBody(asked) = match body {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let address = peer.address_text();
    match gateway.enrolment.enrol(&asked, &address, gateway.clock.now()).await {
        Ok(identity) => closing(answer(identity)),
        Err(error) => problem(error).into_response(),
    }
}

async fn renew(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(who): Extension<AgentIdentity>,
    JsonBody(asked): JsonBody<RenewRequest>,
) -> Response {
    let now = gateway.clock.now();
    match gateway.enrolment.renew(&who, &asked, &peer.address_text(), now).await {
        Ok(identity) => answer(identity),
        Err(AgentRenewalError::Issue(error)) => problem(error).into_response(),
        Err(AgentRenewalError::Stood) => match &peer.certificate {
            Some(shown) => match gateway.standings.recheck(&shown.fingerprint, true, now).await {
                Err(error) => refused(error),
                Ok(()) => ApiError::busy().into_response(),
            },
            None => ApiError::busy().into_response(),
        },
        Err(error @ AgentRenewalError::TwoPlaces) => {
            let words = format!("{error}; find the other host, then enrol this one anew with a new token");
            closing(fenced(words).into_response())
        }
        Err(error @ AgentRenewalError::Contradiction) => ApiError::conflict(
            "renewal_contradiction",
            "The renewal does not fit what is known of the agent",
        )
        .detail(error.to_string())
        .into_response(),
        Err(AgentRenewalError::Request(error)) => problem(error.into()).into_response(),
    }
}

/// Never to be kept by anything between.
fn answer(identity: Identity) -> Response {
    ([(axum::http::header::CACHE_CONTROL, "no-store")], Json(identity)).into_response()
}

fn problem(error: EnrolmentError) -> ApiError {
    match error {
        EnrolmentError::Token(fault) => {
            let status = match fault {
                TokenFault::Wrong => StatusCode::UNAUTHORIZED,
                TokenFault::Spent | TokenFault::Expired | TokenFault::Other { .. } => StatusCode::FORBIDDEN,
            };
            ApiError::problem(status, codes::TOKEN_REFUSED, "The enrolment token is refused").detail(fault.to_string())
        }
        EnrolmentError::Request(error) => {
            ApiError::bad_request(codes::CSR_REFUSED, "The certificate request is refused").detail(error.to_string())
        }
        EnrolmentError::Word(_) => {
            ApiError::bad_request("invalid_field", "A field can not be read").detail(error.to_string())
        }
        EnrolmentError::Store(error) => error.into(),
        EnrolmentError::Entropy(error) => error.into(),
        EnrolmentError::Ca(error) => ApiError::internal(error),
    }
}
