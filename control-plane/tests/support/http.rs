//! A small client: one request, one answer, as JSON.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: hyper::HeaderMap,
    /// Body; null when it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Bytes,
}

impl Answer {
    /// The problem's code.
    pub fn code(&self) -> &str {
        self.body["error"].as_str().unwrap_or("")
    }

    /// The body, when the status is as wanted.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Checks that it is a problem with this status and code.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
    }
}

/// A client for one server.
#[derive(Clone)]
pub struct HttpClient {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl HttpClient {
    /// For the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            base: format!("http://{address}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends a request with a bearer token (none when empty) and a body.
    pub async fn send(&self, method: &str, path: &str, token: &str, body: impl Into<Bytes>) -> Answer {
        self.send_with(method, path, &[("authorization", &format!("Bearer {token}"))], body)
            .await
    }

    /// Sends a request that may find nobody to answer it; whether it was answered.
    pub async fn try_send(&self, method: &str, path: &str, token: &str, body: impl Into<Bytes>) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {token}"));
        self.client
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .is_ok()
    }

    /// Asks for something that goes on; the body is the caller's to read.
    pub async fn open(&self, path: &str, headers: &[(String, String)]) -> Response<hyper::body::Incoming> {
        let mut request = Request::builder().method("GET").uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.client
            .request(request.body(Full::default()).unwrap())
            .await
            .unwrap()
    }

    /// Sends a request with headers of one's own.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .client
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .unwrap();
        read(response).await
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    // A stream of events has no end to wait for.
    let is_stream = parts
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream");
    let bytes = if is_stream {
        Bytes::new()
    } else {
        body.collect().await.unwrap().to_bytes()
    };
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        bytes,
    }
}
