//! A receiver of webhooks, as merchants and ops run one: it believes only what is signed (Standard Webhooks).

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use plugmend_shared::clock::{Clock as _, SystemClock};
use ring::hmac;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{Ops, ops};

/// The longest message that is taken, in bytes.
const LONGEST: usize = 1024 * 1024;
/// How old a message may be, in seconds, as the standard recommends.
const TOLERANCE_S: i64 = 300;

/// What came in one request.
#[derive(Debug, Clone)]
struct Received {
    headers: HeaderMap,
    body: Bytes,
    at: Instant,
}

/// A message whose signature was found good.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its id: the same for each try.
    pub id: String,
    /// The name of the event.
    pub kind: String,
    /// What is told.
    pub data: Value,
    /// When it came.
    pub at: Instant,
}

/// A receiver.
pub struct Receiver {
    at: SocketAddr,
    secret: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens on loopback and has itself told everything about one merchant, or, without one, what ops are told.
    pub async fn start(ops: &Ops, merchant_id: Option<&str>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let at = listener.local_addr()?;
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let task = tokio::spawn(listen(listener, received.clone()));
        let mut wanted = json!({"event_type": "*", "url": format!("http://{at}/told")});
        if let Some(merchant_id) = merchant_id {
            wanted["merchant_id"] = json!(merchant_id);
        }
        let made = ops.post("/api/ops/webhooks", &wanted).await?;
        Ok(Self {
            at,
            secret: ops::text(&made, "secret")?,
            received,
            task,
        })
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// What it was told so far, each once, in the order in which it came.
    ///
    /// # Errors
    /// Something came that was not signed as it must be.
    pub fn told(&self) -> Result<Vec<Told>> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut told: Vec<Told> = Vec::new();
        for one in received {
            let message = verify(&self.secret, &one)?;
            if told.iter().all(|known| known.id != message.id) {
                told.push(message);
            }
        }
        Ok(told)
    }

    /// Whether it was told of such an event.
    pub fn knows(&self, kind: &str) -> Result<bool> {
        Ok(self.told()?.iter().any(|told| told.kind == kind))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, received: Arc<Mutex<Vec<Received>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = received.clone();
        let service = service_fn(move |request| take(request, received.clone()));
        tokio::spawn(async move {
            // A sender that hangs up comes back.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    received: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut answer = Response::new(Full::default());
    match Limited::new(body, LONGEST).collect().await {
        Ok(body) => received.lock().unwrap_or_else(PoisonError::into_inner).push(Received {
            headers: head.headers,
            body: body.to_bytes(),
            at: Instant::now(),
        }),
        Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(answer)
}

/// Checks a message as the published libraries do: HMAC-SHA256 over `id.timestamp.body`, and a fresh timestamp.
fn verify(secret: &str, one: &Received) -> Result<Told> {
    let header = |name: &str| {
        let value = one
            .headers
            .get(name)
            .with_context(|| format!("a message without {name}"))?;
        Ok::<_, anyhow::Error>(value.to_str()?.to_owned())
    };
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret begins with whsec_")?)?;
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&one.body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let is_right = header("webhook-signature")?
        .split(' ')
        .filter_map(|given| STANDARD.decode(given.strip_prefix("v1,")?).ok())
        .any(|given| hmac::verify(&key, &signed, &given).is_ok());
    ensure!(is_right, "a message with a wrong signature: {id}");
    let age = SystemClock.now().as_second() - timestamp.parse::<i64>()?;
    ensure!(age.abs() <= TOLERANCE_S, "a message {age} s old: {id}");
    let body: Value = serde_json::from_slice(&one.body)?;
    Ok(Told {
        kind: ops::text(&body, "type")?,
        data: body.get("data").cloned().unwrap_or_default(),
        id,
        at: one.at,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn message(secret: &str, body: &str) -> Received {
        let timestamp = SystemClock.now().as_second();
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let mac = hmac::sign(&key, format!("msg_1.{timestamp}.{body}").as_bytes());
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: String| headers.insert(name, HeaderValue::try_from(value).unwrap());
        put("webhook-id", "msg_1".to_owned());
        put("webhook-timestamp", timestamp.to_string());
        put("webhook-signature", format!("v1,{}", STANDARD.encode(mac)));
        Received {
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            at: Instant::now(),
        }
    }

    #[test]
    fn only_what_is_signed_is_believed() {
        let (secret, other) = (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        );
        let good = message(
            secret,
            r#"{"type":"plugin.incident_created","data":{"incident_id":"1"}}"#,
        );
        assert_eq!(verify(secret, &good).unwrap().kind, "plugin.incident_created");
        assert!(verify(other, &good).is_err());
        let changed = Received {
            body: Bytes::from_static(b"{\"type\":\"other\"}"),
            ..good
        };
        assert!(verify(secret, &changed).is_err());
    }
}
