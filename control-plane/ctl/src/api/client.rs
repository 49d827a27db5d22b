//! One request at a time, over HTTP or HTTPS.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header,
};
use plugmend_shared::protocol::problem::Problem;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{
    ApiError, Connection, Query,
    body::Payload,
    connect::{self, Http},
};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The longest that one request may take; publishing hashes every file anew.
const TIMEOUT: Duration = Duration::from_mins(5);
/// The longest that a stream may take to begin.
const OPENING: Duration = Duration::from_secs(20);
/// How often a write with an `Idempotency-Key` is sent when its answer is lost.
const TRIES: u32 = 3;

/// The control plane, ready to be asked.
pub struct Api {
    base: String,
    token: Option<SecretString>,
    http: Http,
    tls: Arc<rustls::ClientConfig>,
    runtime: tokio::runtime::Runtime,
}

/// A request.
struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Payload,
    kind: Option<&'static str>,
    headers: &'a [(&'static str, String)],
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Api {
    /// Prepares requests; nothing is sent yet.
    ///
    /// # Errors
    /// When the address or a file can not be used, or the token would travel in the clear.
    pub fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let base = connection.api.trim_end_matches('/').to_owned();
        let uri: Uri = base
            .parse()
            .with_context(|| format!("--api {base} is not an address"))?;
        let token = connect::token(connection.token_file.as_deref())?;
        let host = uri.host().with_context(|| format!("--api {base} has no host"))?;
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if uri.scheme_str() == Some("http") && !local && token.is_some() {
            bail!("--api {base} would send your token in the clear; use https");
        }
        let tls = connect::tls(connection.api_ca.as_deref(), uri.scheme_str() == Some("https"))?;
        Ok(Self {
            token,
            http: connect::http(&tls),
            tls: Arc::new(tls),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            base,
        })
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(path)?.json()
    }

    /// `GET` of a path with a query, JSON.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn find(&self, query: &Query) -> anyhow::Result<Value> {
        self.get(query.as_str())
    }

    /// `GET`, whatever comes back.
    ///
    /// # Errors
    /// When it can not be reached.
    pub fn ask(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Call::new(Method::GET, path))
    }

    /// `POST`, JSON both ways.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.write(Method::POST, path, body, &[])
    }

    /// `POST` of what must be done once at most: with an `Idempotency-Key`, so that it is sent again when the answer is
    /// lost, and done once all the same.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn post_once(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut key = [0; 16];
        ring::rand::SystemRandom::fill(&SystemRandom::new(), &mut key)
            .map_err(|_| anyhow::anyhow!("the system gave no random numbers"))?;
        let headers = [("idempotency-key", hex::encode(key))];
        let mut tries = 1;
        loop {
            match self.write(Method::POST, path, body, &headers) {
                Err(error) if tries < TRIES && is_lost(&error) => tries += 1,
                done => return done,
            }
        }
    }

    /// `PATCH` of what was read with this `ETag`.
    ///
    /// # Errors
    /// When it can not be reached, refuses, or it was changed meanwhile.
    pub fn patch(&self, path: &str, body: &Value, etag: &str) -> anyhow::Result<Value> {
        self.write(Method::PATCH, path, body, &[("if-match", etag.to_owned())])
    }

    /// Whether something is there.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn exists(&self, path: &str) -> anyhow::Result<bool> {
        let status = self.send(Call::new(Method::HEAD, path))?.status;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            // A HEAD has no body that could say why: ask again in a way that has.
            _ => self.get(path).map(|_| true),
        }
    }

    /// `PUT` of a file of `length` bytes; `sent` is told of them as they go.
    ///
    /// # Errors
    /// When the file has another length, or the control plane can not be reached or refuses.
    pub fn put_file(
        &self,
        path: &str,
        file: &Path,
        length: u64,
        sent: impl Fn(u64) + Send + 'static,
    ) -> anyhow::Result<()> {
        let at = || format!("can not upload {}", file.display());
        let opened = fs::File::open(file).with_context(at)?;
        ensure!(
            opened.metadata().with_context(at)?.len() == length,
            "{} is not the signed file",
            file.display()
        );
        let call = Call {
            body: Payload::File(opened, length, Box::new(sent)),
            kind: Some("application/octet-stream"),
            ..Call::new(Method::PUT, path)
        };
        self.send(call)?.json().map(|_| ())
    }

    fn write(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&'static str, String)],
    ) -> anyhow::Result<Value> {
        let call = Call {
            body: Payload::Bytes(Some(Bytes::from(serde_json::to_vec(body)?))),
            kind: Some("application/json"),
            headers,
            ..Call::new(method, path)
        };
        self.send(call)?.json()
    }

    /// `GET`, JSON, beside other work.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub async fn fetch(&self, query: &Query) -> anyhow::Result<Value> {
        self.exchange(Call::new(Method::GET, query.as_str())).await?.json()
    }

    /// Runs what goes on beside other work.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Where requests go.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The bearer token, if there is one.
    pub fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// How TLS is spoken.
    pub fn tls(&self) -> &rustls::ClientConfig {
        &self.tls
    }

    fn send(&self, call: Call<'_>) -> anyhow::Result<Answer> {
        self.runtime.block_on(self.exchange(call))
    }

    async fn exchange(&self, call: Call<'_>) -> anyhow::Result<Answer> {
        let exchange = async {
            let (head, body) = self.open(call).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER)
                .collect()
                .await
                .map_err(|e| self.unreachable(e))?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|e| self.unreachable(e))?
    }

    /// An answer whose body is still to be read.
    async fn open(&self, call: Call<'_>) -> anyhow::Result<Response<Incoming>> {
        let request = self.request(call)?;
        let answer = self.http.request(request).await;
        Ok(answer.map_err(|e| self.unreachable(e))?)
    }

    /// A `GET` whose body comes as it is made; a refusal is told as ever.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub(super) async fn stream(&self, path: &str, headers: &[(&'static str, String)]) -> anyhow::Result<Incoming> {
        let call = Call {
            headers,
            ..Call::new(Method::GET, path)
        };
        let opened = tokio::time::timeout(OPENING, self.open(call)).await;
        let (head, body) = opened.map_err(|e| self.unreachable(e))??.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|e| self.unreachable(e))?;
        let refusal = Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        };
        refusal.json()?;
        anyhow::bail!("the control plane answered {}", head.status)
    }

    fn request(&self, call: Call<'_>) -> anyhow::Result<Request<Payload>> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(header::ACCEPT, "application/json");
        if let Some(kind) = call.kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        for (name, value) in call.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        request
            .body(call.body)
            .context("the request can not be made (is the token one line of text?)")
    }

    pub(super) fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
        ApiError::Unreachable {
            url: self.base.clone(),
            source: source.into(),
        }
    }
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            body: Payload::Bytes(None),
            kind: None,
            headers: &[],
        }
    }
}

impl Answer {
    /// What it says.
    ///
    /// # Errors
    /// When it is a refusal, or not JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        let malformed = || ApiError::Malformed {
            status: self.status.as_u16(),
        };
        if !self.status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&self.body).map_err(|_| malformed())?;
            return Err(ApiError::Refused(problem).into());
        }
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&self.body).map_err(|_| malformed())?)
    }
}

fn is_lost(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ApiError::Unreachable { .. }))
}
