//! What the gateway's own endpoints and its doorkeeper share.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use plugmend_shared::{clock::Clock, protocol::problem::codes};

use super::rates::Rates;
use crate::{
    http::ApiError,
    service::{
        enrolment::Enrolment,
        standing::{Refusal, StandingError, Standings},
    },
};

/// How long an agent that restarts again and again is asked to wait.
const RESTLESS_WAIT: Duration = Duration::from_mins(1);

/// Makes agents, judges them, counts their requests.
pub struct Gateway {
    /// Makes and renews agents.
    pub enrolment: Enrolment,
    /// Judges them.
    pub standings: Arc<Standings>,
    /// Counts their requests.
    pub rates: Rates,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// An agent that may not speak is told why, and its connection is closed.
pub(super) fn refused(error: StandingError) -> Response {
    let refusal = match error {
        StandingError::Store(error) => return ApiError::from(error).into_response(),
        StandingError::Refused(refusal) => refusal,
    };
    let forbidden = |code, title| ApiError::problem(StatusCode::FORBIDDEN, code, title);
    let problem = match refusal {
        Refusal::Unknown => ApiError::problem(
            StatusCode::UNAUTHORIZED,
            codes::CERTIFICATE_UNKNOWN,
            "The certificate is not known here",
        )
        .detail("enrol this agent anew with a new token"),
        Refusal::Restless => return too_many(RESTLESS_WAIT),
        Refusal::Revoked { reason } => forbidden(codes::REVOKED, "The agent was revoked")
            .detail(format!("reason given: {reason}; enrol it anew with a new token")),
        Refusal::Fenced { at } => fenced(format!(
            "seen in two places at {at}; find the other host, then enrol this one anew with a new token"
        )),
        Refusal::Expired {
            not_after,
            renewable: true,
        } => forbidden(codes::EXPIRED, "The certificate has expired")
            .detail(format!("it ended at {not_after}; renew it, nothing else is served")),
        Refusal::Expired {
            not_after,
            renewable: false,
        } => forbidden(codes::EXPIRED, "The certificate has expired").detail(format!(
            "it ended at {not_after}, too long ago to be renewed; enrol this agent anew"
        )),
    };
    closing(problem.into_response())
}

/// The answer to an agent that is one of two.
pub(super) fn fenced(detail: String) -> ApiError {
    ApiError::problem(StatusCode::FORBIDDEN, codes::FENCED, "Two hosts use this identity").detail(detail)
}

/// Ends the connection after this answer.
pub(super) fn closing(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 429, with the time to wait.
pub(super) fn too_many(wait: Duration) -> Response {
    let mut response = ApiError::problem(StatusCode::TOO_MANY_REQUESTS, codes::RATE_LIMITED, "Too many requests")
        .detail("slow down; nothing was taken")
        .into_response();
    let seconds = wait.as_secs().saturating_add(1);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
