//! SIRA and the staging runner: one small server that says yes to everything, where a test is about neither.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sqlx::PgConnection;
use tokio::{net::TcpListener, task::JoinHandle};

/// The version that cures everything.
pub const CURED: &str = "1.2.3";

/// The server.
pub struct Helpers {
    at: SocketAddr,
    task: JoinHandle<()>,
}

impl Helpers {
    /// Starts it.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("bind a port")?;
        let at = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(|request: Request<Incoming>| async move {
                    Ok::<_, std::convert::Infallible>(Response::new(answer(request.uri().path())))
                });
                tokio::spawn(async move {
                    // A replica that was killed hangs up.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { at, task })
    }

    /// What tells a control plane of both.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        let url = format!("http://{}", self.at);
        [
            ("SIRA_API_URL", url.clone()),
            ("SIRA_API_TOKEN", "a token of a test".to_owned()),
            ("STAGING_RUNNER_URL", url),
            ("STAGING_RUNNER_TOKEN", "0123456789abcdef".to_owned()),
        ]
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Has the control plane know the release that cures, as if it had been published.
pub async fn offer(database: &mut PgConnection, product: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO releases (product, version, digest, impact, undo, files, bytes, pack_bytes, manifest, published_at)
         VALUES ($1, $2, sha256($1::bytea), 'medium', 'code_only', 1, 1, 1, '{}', now())",
    )
    .bind(product)
    .bind(CURED)
    .execute(database)
    .await?;
    Ok(())
}

fn answer(path: &str) -> Full<Bytes> {
    let said = if path == "/run" {
        json!({ "ok": true, "passed": true, "tests_run": 2, "duration_ms": 7, "errors": [], "logs": [] })
    } else {
        json!({ "action": "patch", "patch_version": CURED, "confidence": 0.87, "explanation": "it fixes this" })
    };
    Full::new(Bytes::from(said.to_string()))
}
