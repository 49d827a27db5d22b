//! One customer's connection.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The longest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// An HTTP/1.1 connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub async fn open(at: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(at).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("begin HTTP")?;
        tokio::spawn(async move {
            // How it ended shows in the answers.
            let _ = connection.await;
        });
        Ok(Self { sender })
    }

    /// Asks and reads the whole answer; says whether the connection may be used again.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes, bool)> {
        self.sender.ready().await.context("the connection is gone")?;
        let answer = self.sender.send_request(request).await.context("send")?;
        let status = answer.status();
        let closes = answer
            .headers()
            .get(header::CONNECTION)
            .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"close"));
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|e| anyhow::anyhow!(e)).context("read the answer")?;
        Ok((status, body.to_bytes(), !closes))
    }
}
