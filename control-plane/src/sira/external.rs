//! The external SIRA: `POST {SIRA_API_URL}/api/sira/decide`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::SecretString;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::Decider;
use crate::{
    domain::decision::{
        Question,
        answer::{self, Answer, Refusal},
    },
    outgoing::{Call, Endpoint, HttpClient, OutgoingError},
};

/// How long it is given, tries and pauses together (the reference system's promise).
pub const WITHIN: Duration = Duration::from_secs(10);
/// The most tries.
const TRIES: u32 = 3;
/// The pause before the second try; doubled before the third.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ExternalError {
    /// The question can not be written.
    #[error("the question can not be written as JSON")]
    Question(#[source] serde_json::Error),
    /// No answer came.
    #[error(transparent)]
    Call(#[from] OutgoingError),
    /// It refused, failed, or sent us elsewhere.
    #[error("it answered HTTP {0}")]
    Status(StatusCode),
    /// It does not take our token.
    #[error("it does not take SIRA_API_TOKEN (HTTP {0})")]
    Unauthorised(StatusCode),
    /// What it answered can not be believed.
    #[error("its answer is refused")]
    Refused(#[from] Refusal),
}

impl ExternalError {
    /// Whether the same question may be answered a moment later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Call(error) => error.is_transient(),
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Question(_) | Self::Unauthorised(_) | Self::Refused(_) => false,
        }
    }
}

/// The external SIRA.
#[derive(Debug, Clone)]
pub struct External {
    http: HttpClient,
    at: Endpoint,
    token: SecretString,
    within: Duration,
}

impl External {
    /// At `url` (`SIRA_API_URL`), with `SIRA_API_TOKEN`.
    ///
    /// # Errors
    /// When the address can not be used.
    pub fn new(http: HttpClient, url: &str, token: SecretString) -> Result<Self, OutgoingError> {
        Ok(Self {
            http,
            at: Endpoint::parse(url)?,
            token,
            within: WITHIN,
        })
    }

    /// The same, given less or more time.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    async fn once(&self, body: Bytes, within: Duration, question: &Question) -> Result<Answer, ExternalError> {
        let call = Call {
            method: Method::POST,
            path: "/api/sira/decide",
            headers: vec![
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::ACCEPT, HeaderValue::from_static("application/json")),
            ],
            bearer: Some(&self.token),
            body,
            within,
            at_most: MAX_ANSWER,
        };
        let answered = self.http.call(&self.at, call).await?;
        match answered.status {
            StatusCode::OK => Ok(answer::read(&answered.body, question)?),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(ExternalError::Unauthorised(status)),
            status => Err(ExternalError::Status(status)),
        }
    }
}

#[async_trait]
impl Decider for External {
    async fn decide(&self, question: &Question) -> Result<Answer, ExternalError> {
        let body = Bytes::from(serde_json::to_vec(question).map_err(ExternalError::Question)?);
        let deadline = Instant::now() + self.within;
        let mut pause = PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match self.once(body.clone(), left, question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if tries == TRIES || !error.is_transient() || left <= pause {
                return Err(error);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }
}
