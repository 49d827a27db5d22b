//! One request and its answer: bounded in time and size, and sorted by what the agent should do about it.

use std::{ops::Range, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;
use plugmend_shared::protocol::problem::{Problem, codes};
use tokio::time::timeout;

use super::{
    connection::{Connection, Target, hyper_error},
    error::ClientError,
};

/// The longest problem document that is read, in bytes.
const MAX_PROBLEM_BYTES: u64 = 16 * 1024;
/// How long a body may stand still between two pieces.
const STALL: Duration = Duration::from_secs(30);
/// The longest wait that the control plane may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub method: Method,
    /// From the root of the control plane, with its query.
    pub path: String,
    /// JSON; empty when there is none.
    pub body: Bytes,
    /// Which bytes of a file.
    pub range: Option<Range<u64>>,
    /// This life of the process.
    pub boot_id: Option<String>,
    /// The longest answer.
    pub max_bytes: u64,
    /// How long until the head of the answer.
    pub patience: Duration,
    /// What is done, for messages.
    pub doing: &'static str,
}

/// Its answer, a success.
#[derive(Debug)]
pub(super) struct Reply {
    pub body: Bytes,
    /// The server's clock, from its `Date` header.
    pub server_time: Option<Timestamp>,
}

impl Call {
    fn request(&self, target: &Target) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(format!("{}{}", target.prefix, self.path))
            .header(header::HOST, &target.authority)
            .header(
                header::USER_AGENT,
                concat!("plugmend-agent/", env!("CARGO_PKG_VERSION")),
            );
        if self.method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(range) = &self.range {
            // The last byte is included (RFC 9110 section 14.1.2).
            let last = range.end.saturating_sub(1);
            request = request.header(header::RANGE, format!("bytes={}-{last}", range.start));
        }
        if let Some(boot_id) = &self.boot_id {
            request = request.header(plugmend_shared::protocol::identity::BOOT_HEADER, boot_id);
        }
        request
            .body(Full::new(self.body.clone()))
            .map_err(|error| ClientError::Malformed {
                what: format!("the request for {} can not be made: {error}", self.doing),
            })
    }

    /// Sends the request over `connection` and reads the whole answer.
    pub async fn exchange(&self, connection: &mut Connection, target: &Target) -> Result<Reply, ClientError> {
        let request = self.request(target)?;
        let late = ClientError::TimedOut {
            doing: self.doing,
            after: self.patience,
        };
        let answer = timeout(self.patience, connection.send(target, request))
            .await
            .map_err(|_| late)??;
        let status = answer.status();
        let expected = if self.range.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        if status != expected && !(self.range.is_none() && status.is_success()) {
            return Err(self.failure(answer, target).await);
        }
        let server_time = date(answer.headers());
        self.check_range(answer.headers())?;
        let body = read_body(answer.into_body(), self.max_bytes, self.doing, target).await?;
        if let Some(range) = &self.range
            && body.len() as u64 != range.end - range.start
        {
            return Err(ClientError::Malformed {
                what: "another number of bytes than the range has".to_owned(),
            });
        }
        Ok(Reply { body, server_time })
    }

    fn check_range(&self, headers: &HeaderMap) -> Result<(), ClientError> {
        let Some(range) = &self.range else { return Ok(()) };
        let wanted = format!("bytes {}-{}/", range.start, range.end.saturating_sub(1));
        let got = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
        if got.is_some_and(|got| got.starts_with(&wanted)) {
            return Ok(());
        }
        Err(ClientError::Malformed {
            what: format!("Content-Range is {got:?} where {wanted:?} was asked for"),
        })
    }

    async fn failure(&self, answer: Response<Incoming>, target: &Target) -> ClientError {
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return ClientError::Busy {
                status: status.as_u16(),
                retry_after,
            };
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return ClientError::ServerFault {
                status: status.as_u16(),
            };
        }
        if status.is_success() {
            return ClientError::Malformed {
                what: format!("HTTP {status} to a request for a range"),
            };
        }
        let body = read_body(answer.into_body(), MAX_PROBLEM_BYTES, self.doing, target).await;
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
        sort_problem(status, problem)
    }
}

/// Redirects are refusals like any other: the agent speaks to the control plane it was enrolled with.
fn sort_problem(status: StatusCode, problem: Option<Problem>) -> ClientError {
    let Some(mut problem) = problem else {
        return ClientError::Refused(Problem::new(status.as_u16(), "unknown", "an answer without a reason"));
    };
    // The status line counts, whatever the document says.
    problem.status = status.as_u16();
    let detail = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    match problem.code.as_str() {
        codes::FENCED => ClientError::Fenced(detail),
        codes::REVOKED => ClientError::Revoked(detail),
        codes::EXPIRED => ClientError::Expired(detail),
        _ => ClientError::Refused(problem),
    }
}

async fn read_body(mut body: Incoming, limit: u64, doing: &'static str, target: &Target) -> Result<Bytes, ClientError> {
    if body.size_hint().lower() > limit {
        return Err(ClientError::TooLarge { limit });
    }
    let mut all = BytesMut::new();
    loop {
        let late = ClientError::TimedOut { doing, after: STALL };
        let Some(frame) = timeout(STALL, body.frame()).await.map_err(|_| late)? else {
            return Ok(all.freeze());
        };
        let frame = frame.map_err(|error| hyper_error(target, error))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() as u64 + data.len() as u64 > limit {
            return Err(ClientError::TooLarge { limit });
        }
        all.extend_from_slice(&data);
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(text.trim().parse().ok()?).min(LONGEST_RETRY_AFTER))
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_control_planes_own_words_fence_or_revoke() {
        let of = |status, code: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            sort_problem(status, Some(Problem::new(403, code, "t")))
        };
        assert!(matches!(of(403, codes::FENCED), ClientError::Fenced(_)));
        assert!(matches!(of(403, codes::REVOKED), ClientError::Revoked(_)));
        assert!(matches!(of(403, codes::EXPIRED), ClientError::Expired(_)));
        assert!(matches!(of(302, "moved"), ClientError::Refused(p) if p.status == 302));
        assert!(matches!(
            sort_problem(StatusCode::FORBIDDEN, None),
            ClientError::Refused(_)
        ));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_an_hour_at_most() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "999999999".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(LONGEST_RETRY_AFTER));
        headers.insert(header::RETRY_AFTER, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn the_servers_clock_is_read_from_its_date() {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, "Sun, 22 Nov 2026 16:00:00 GMT".parse().unwrap());
        assert_eq!(date(&headers), Some("2026-11-22T16:00:00Z".parse().unwrap()));
    }
}
