//! The repository over plain HTTP on this very host, for the conformance command and for tests. Agents use the mutual
//! TLS client.

use std::{future::Future, ops::Range, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::transport::{Transport, TransportError};

/// The longest time that one file may take.
const DEADLINE: Duration = Duration::from_mins(1);

/// Base addresses of metadata and targets on a loopback address.
#[derive(Debug, Clone)]
pub struct PlainHttp {
    metadata: String,
    targets: String,
}

impl PlainHttp {
    /// `metadata` and `targets` are base URLs, with or without a final slash.
    pub fn new(metadata: &str, targets: &str) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Self {
            metadata: base(metadata),
            targets: base(targets),
        }
    }

    fn url(&self, path: &str) -> Result<Uri, TransportError> {
        let url = match path.split_once('/') {
            Some(("metadata", rest)) => format!("{}/{rest}", self.metadata),
            Some(("targets", rest)) => format!("{}/{rest}", self.targets),
            _ => return Err(TransportError::Refused(format!("no place for {path}"))),
        };
        let uri: Uri = url
            .parse()
            .map_err(|why| TransportError::Refused(format!("{url} is not a URL: {why}")))?;
        let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if uri.scheme_str() != Some("http") || !loopback {
            return Err(TransportError::Refused(format!("{url} is not plain HTTP on this host")));
        }
        Ok(uri)
    }
}

impl Transport for PlainHttp {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        let uri = self.url(path)?;
        in_time(get(uri, range, max_bytes)).await
    }
}

async fn in_time<O>(work: impl Future<Output = Result<O, TransportError>>) -> Result<O, TransportError> {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(result) => result,
        Err(late) => Err(TransportError::Unreachable(late.into())),
    }
}

async fn get(uri: Uri, range: Option<Range<u64>>, max_bytes: u64) -> Result<Option<Bytes>, TransportError> {
    let host = uri.host().unwrap_or("localhost").to_owned();
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(&address).await.map_err(unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = Request::get(target).header(header::HOST, &address);
    if let Some(range) = &range {
        let last = range.end.saturating_sub(1);
        request = request.header(header::RANGE, format!("bytes={}-{last}", range.start));
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|why| TransportError::Refused(why.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let wanted = if range.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        let status = response.status();
        if status == StatusCode::NOT_FOUND || status == StatusCode::FORBIDDEN {
            return Ok(None);
        }
        if status != wanted {
            return Err(not_wanted(status));
        }
        let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), limit).collect().await;
        match body {
            Ok(body) => Ok(Some(body.to_bytes())),
            Err(why) if why.is::<LengthLimitError>() => Err(TransportError::TooLarge(max_bytes)),
            Err(why) => Err(TransportError::Unreachable(why)),
        }
    };
    // Both in one task: when the answer is whole or refused, the connection is dropped with it.
    tokio::select! {
        biased;
        result = answer => result,
        Err(why) = connection => Err(unreachable(why)),
    }
}

fn not_wanted(status: StatusCode) -> TransportError {
    let why = format!("HTTP status {status}");
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        TransportError::Unreachable(why.into())
    } else {
        TransportError::Refused(why)
    }
}

fn unreachable(why: impl std::error::Error + Send + Sync + 'static) -> TransportError {
    TransportError::Unreachable(Box::new(why))
}
