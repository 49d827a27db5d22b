//! One exchange over a connection of its own.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Answer, Call, Endpoint, HttpClient, OutgoingError};

/// How many addresses of one name are tried.
const MAX_ADDRESSES: usize = 4;
/// How long one of them is waited for.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

pub(super) async fn run(client: &HttpClient, to: &Endpoint, call: Call<'_>) -> Result<Answer, OutgoingError> {
    let at_most = call.at_most;
    let request = request(to, call)?;
    let stream = connect(client, to).await?;
    if !to.tls {
        return exchange(stream, to, request, at_most).await;
    }
    let unreachable = |source| OutgoingError::Unreachable {
        host: to.place(),
        source,
    };
    let name = ServerName::try_from(to.host.clone()).map_err(|e| unreachable(io::Error::other(e)))?;
    let stream = client.tls.connect(name, stream).await.map_err(unreachable)?;
    exchange(stream, to, request, at_most).await
}

fn request(to: &Endpoint, call: Call<'_>) -> Result<Request<Full<Bytes>>, OutgoingError> {
    let mut request = Request::builder()
        .method(call.method)
        .uri(to.target(call.path))
        .header(header::HOST, to.authority())
        .header(header::USER_AGENT, concat!("plugmend/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    if let Some(token) = call.bearer {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|e| OutgoingError::Request(Box::new(e)))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    request
        .body(Full::new(call.body))
        .map_err(|e| OutgoingError::Request(Box::new(e)))
}

/// The first address that answers. One that may not be called ends it: a name with such an address is not to be
/// trusted with its others.
async fn connect(client: &HttpClient, to: &Endpoint) -> Result<TcpStream, OutgoingError> {
    let unreachable = |source| OutgoingError::Unreachable {
        host: to.place(),
        source,
    };
    let found = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(unreachable)?.collect();
    if let Some(allowed) = &client.allowed
        && let Some(other) = addresses.iter().find(|at| !allowed(at.ip()))
    {
        return Err(OutgoingError::Forbidden {
            host: to.place(),
            address: other.ip(),
        });
    }
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small exchanges: never wait to fill a packet. Where that can not be set, it is only slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(e)) => last = e,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(unreachable(last))
}

async fn exchange<S>(
    stream: S,
    to: &Endpoint,
    request: Request<Full<Bytes>>,
    at_most: u64,
) -> Result<Answer, OutgoingError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let broken = |source| OutgoingError::Broken {
        host: to.place(),
        source,
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        whole(response, at_most).await.map_err(|failure| match failure {
            Failure::TooLarge => OutgoingError::TooLarge(at_most),
            Failure::Broken(source) => broken(source),
        })
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    // Both in one task: when the answer is whole or refused, the connection is dropped with it. A connection that ends
    // first has already handed over what came.
    tokio::select! {
        biased;
        result = &mut answer => result,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(source) => Err(broken(source)),
        },
    }
}

enum Failure {
    TooLarge,
    Broken(hyper::Error),
}

async fn whole(response: Response<Incoming>, at_most: u64) -> Result<Answer, Failure> {
    let (head, mut body) = response.into_parts();
    if body.size_hint().lower() > at_most {
        return Err(Failure::TooLarge);
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Broken)?.into_data() else {
            continue;
        };
        if all.len() as u64 + data.len() as u64 > at_most {
            return Err(Failure::TooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: all.freeze(),
    })
}
