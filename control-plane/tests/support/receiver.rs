//! A receiver of webhooks.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, response::IntoResponse as _};

/// What came in one request.
#[derive(Debug, Clone)]
pub struct Received {
    pub id: String,
    pub timestamp: i64,
    pub signature: String,
    pub body: Bytes,
}

/// A receiver that answers as it is told; a status of 0 never answers.
#[derive(Default)]
pub struct Receiver {
    status: Mutex<u16>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    pub async fn start(status: u16) -> (Arc<Self>, SocketAddr) {
        let this = Arc::new(Self {
            status: Mutex::new(status),
            ..Self::default()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(Arc::clone(&this));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (this, address)
    }

    pub fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> axum::response::Response {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    receiver.received.lock().unwrap().push(Received {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp").parse().unwrap(),
        signature: text("webhook-signature"),
        body,
    });
    let status = *receiver.status.lock().unwrap();
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    // Where a redirect leads must not matter.
    (status, [("location", "http://127.0.0.1:1/elsewhere")], "").into_response()
}
