//! The ops API, as a person's tools use it.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use plugmend_shared::clock::{Clock as _, SystemClock};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use crate::{load::Connection, wait};

/// The key of the identity service that ops sign in at; the control plane knows its public half.
pub struct OpsKey(Ed25519KeyPair);

/// The DER before an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl OpsKey {
    /// A fresh key.
    pub fn generate() -> Result<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .ok()
            .context("no randomness")?;
        Ok(Self(
            Ed25519KeyPair::from_pkcs8(document.as_ref())
                .ok()
                .context("a key just made is a key")?,
        ))
    }

    /// Its public half, for `MOLAM_ID_JWT_PUBLIC`.
    pub fn public_pem(&self) -> String {
        let der = [&SPKI_PREFIX, self.0.public_key().as_ref()].concat();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// A token for `sub` with `roles`, good for an hour.
    pub fn token(&self, sub: &str, roles: &[&str]) -> String {
        let now = SystemClock.now().as_second();
        let header = json!({"alg": "EdDSA", "typ": "JWT"});
        let claims =
            json!({"iss": "molam-id", "sub": sub, "roles": roles, "iat": now, "nbf": now - 5, "exp": now + 3600});
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

/// A client of the API with one person's token.
#[derive(Clone)]
pub struct Ops {
    at: SocketAddr,
    token: String,
}

/// The longest that the API may take for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

impl Ops {
    /// A client of the API at `at`.
    pub fn new(at: SocketAddr, token: String) -> Self {
        Self { at, token }
    }

    /// Where the API is.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// The token, for the command line's environment.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Reads; anything but success is an error.
    pub async fn get(&self, path: &str) -> Result<Value> {
        success(path, self.ask(Method::GET, path, None).await?)
    }

    /// Writes; anything but success is an error.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        success(path, self.ask(Method::POST, path, Some(body)).await?)
    }

    /// Asks once, on a connection of its own.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.at.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let bytes = body.map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let request = request.body(Full::new(bytes))?;
        let asked = async { Connection::open(self.at).await?.ask(request).await };
        let (status, bytes, _) = tokio::time::timeout(ANSWER_LIMIT, asked)
            .await
            .context("no answer from the API")??;
        let value = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
        };
        Ok((status, value))
    }

    /// Gives an order to a plugin; its id.
    pub async fn order(&self, plugin_id: &str, order: &Value) -> Result<String> {
        let answer = self
            .post(&format!("/api/ops/plugins/{plugin_id}/commands"), order)
            .await?;
        text(&answer, "id")
    }

    /// Waits until an order has ended; the order as the API shows it.
    pub async fn ended(&self, command_id: &str, bound: Duration) -> Result<Value> {
        let path = format!("/api/ops/commands/{command_id}");
        let mut last = Value::Null;
        let waited = wait::until_async("the order to end", bound, async || {
            // The control plane may be away for a while; that is what some tests are about.
            if let Ok(command) = self.get(&path).await {
                last = command;
            }
            let status = last.get("status").and_then(Value::as_str).unwrap_or_default();
            Ok(matches!(status, "completed" | "failed" | "timeout").then_some(()))
        });
        match waited.await {
            Ok(()) => Ok(last),
            Err(error) => bail!("{error:#}; last seen: {last}"),
        }
    }
}

fn success(path: &str, (status, value): (StatusCode, Value)) -> Result<Value> {
    ensure!(status.is_success(), "{path} answered {status}: {value}");
    Ok(value)
}

/// A text field of an answer.
pub fn text(value: &Value, field: &str) -> Result<String> {
    let found = value.get(field).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no text {field} in {value}"))?.to_owned())
}
