//! The client of a staging runner, ours or another.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::SecretString;

use super::{
    StagingError, StagingRequest, StagingResult, answer,
    types::{MAX_TIMEOUT_SECONDS, RunBody},
};
use crate::outgoing::{Answer, Call, Endpoint, HttpClient};

/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;
/// What the answer may take beyond the run itself.
const ON_THE_WAY: Duration = Duration::from_secs(5);

/// The client of a staging runner.
#[derive(Debug, Clone)]
pub struct StagingClient {
    http: HttpClient,
    runner: Endpoint,
    token: SecretString,
}

impl StagingClient {
    /// A client of the runner at `url` (`STAGING_RUNNER_URL`).
    ///
    /// # Errors
    /// The address can not be used.
    pub fn new(http: HttpClient, url: &str, token: SecretString) -> Result<Self, StagingError> {
        Ok(Self {
            http,
            runner: Endpoint::parse(url).map_err(StagingError::Address)?,
            token,
        })
    }

    /// Has a release tried out; `limit` (`staging_timeout_seconds`) bounds the run, and the wait for it.
    ///
    /// # Errors
    /// There is no result that can be believed. Nothing is known about the release then.
    pub async fn run(&self, request: &StagingRequest, limit: Duration) -> Result<StagingResult, StagingError> {
        let seconds = u32::try_from(limit.as_secs()).unwrap_or(MAX_TIMEOUT_SECONDS);
        let seconds = seconds.clamp(1, MAX_TIMEOUT_SECONDS);
        let body = RunBody {
            merchant_id: request.merchant_id,
            plugin_id: request.plugin_id,
            version: request.version.clone(),
            product: Some(request.product.clone()),
            release_digest: request.release_digest,
            timeout_seconds: Some(seconds),
        };
        let body = serde_json::to_vec(&body).map_err(|e| StagingError::NotBelieved(e.to_string()))?;
        let call = Call {
            method: Method::POST,
            path: "/run",
            headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            bearer: Some(&self.token),
            body: Bytes::from(body),
            within: Duration::from_secs(seconds.into()) + ON_THE_WAY,
            at_most: MAX_ANSWER,
        };
        let answered = self.http.call(&self.runner, call).await.map_err(StagingError::Call)?;
        sort(&answered)
    }
}

fn sort(answered: &Answer) -> Result<StagingResult, StagingError> {
    let status = answered.status;
    let words = || answer::words_of(&answered.body);
    match status {
        StatusCode::OK => answer::read(&answered.body),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(StagingError::Busy {
            retry_after: answered.retry_after(),
        }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(StagingError::Unauthorised),
        _ if status.is_server_error() => Err(StagingError::Fault {
            status: status.as_u16(),
            words: words(),
        }),
        _ if status.is_client_error() => Err(StagingError::Refused {
            status: status.as_u16(),
            words: words(),
        }),
        // Redirects and other successes: not what was asked for.
        _ => Err(StagingError::NotBelieved(format!("HTTP {status}"))),
    }
}
