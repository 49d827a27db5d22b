//! The one place where errors become answers. Internals are logged here and never leave.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use plugmend_shared::protocol::problem::{PROBLEM_JSON, Problem};

use crate::{service::NoEntropy, store::StoreError};

/// Seconds after which a client may try again when we are too busy or the database is away.
const RETRY_AFTER_S: u32 = 5;

/// Why a request was not done, as its sender is told.
#[derive(Debug)]
pub enum ApiError {
    /// The sender can do something about it.
    Problem(Problem),
    /// Not now; trying again later may help.
    Busy {
        /// Seconds to wait.
        retry_after_s: u32,
        /// What is logged.
        source: Option<anyhow::Error>,
    },
    /// Our fault; the sender learns nothing but that.
    Internal(anyhow::Error),
}

impl ApiError {
    /// A problem of the sender's making.
    pub fn problem(status: StatusCode, code: &str, title: &str) -> Self {
        Self::Problem(Problem::new(status.as_u16(), code, title))
    }

    /// The same with what happened this time.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        match self {
            Self::Problem(problem) => Self::Problem(problem.detail(detail)),
            other => other,
        }
    }

    /// 400: the request says something that can not be.
    pub fn bad_request(code: &str, title: &str) -> Self {
        Self::problem(StatusCode::BAD_REQUEST, code, title)
    }

    /// 404: there is no such thing, or not for this sender.
    pub fn not_found(code: &str, title: &str) -> Self {
        Self::problem(StatusCode::NOT_FOUND, code, title)
    }

    /// 409: it can not be done in the present state.
    pub fn conflict(code: &str, title: &str) -> Self {
        Self::problem(StatusCode::CONFLICT, code, title)
    }

    /// 503: a queue is full.
    pub fn busy() -> Self {
        Self::Busy {
            retry_after_s: RETRY_AFTER_S,
            source: None,
        }
    }

    /// 500 for an error of ours.
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Outdated => Self::Busy {
                retry_after_s: RETRY_AFTER_S,
                source: Some(error.into()),
            },
            StoreError::Stale { what } => Self::conflict("changed_meanwhile", "Changed by someone else meanwhile")
                .detail(format!("{what} was changed by someone else in between; read it again")),
            StoreError::Conflict { .. } => Self::conflict("already_exists", "It exists already"),
            other => Self::Internal(other.into()),
        }
    }
}

impl From<NoEntropy> for ApiError {
    fn from(error: NoEntropy) -> Self {
        Self::Internal(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => respond(&problem, None),
            Self::Busy { retry_after_s, source } => {
                if let Some(error) = source {
                    tracing::warn!(error = format!("{error:#}"), "answered: try again later");
                }
                let problem = Problem::new(503, "try_again_later", "Not now")
                    .detail(format!("try again in {retry_after_s} seconds; nothing was taken"));
                respond(&problem, Some((header::RETRY_AFTER, HeaderValue::from(retry_after_s))))
            }
            Self::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "a request failed by our fault");
                respond(
                    &Problem::new(500, "internal_error", "Something went wrong on our side"),
                    None,
                )
            }
        }
    }
}

fn respond(problem: &Problem, extra: Option<(HeaderName, HeaderValue)>) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
    if let Some((name, value)) = extra {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internals_never_leave() {
        let secret = anyhow::anyhow!("password hunter2 at db.internal").context("can not connect");
        let response = ApiError::Internal(secret).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&Problem::new(500, "internal_error", "x")).unwrap();
        assert!(!body.contains("hunter2"));
    }

    #[test]
    fn a_database_that_is_away_means_come_back_later() {
        let response = ApiError::from(StoreError::Unavailable(sqlx::Error::PoolTimedOut)).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }
}
