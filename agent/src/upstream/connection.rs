//! One HTTP/1.1 connection over TLS.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig, Error as TlsError};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_rustls::TlsConnector;

use super::error::ClientError;

/// How long reaching the server and the handshake may take together.
const CONNECT: Duration = Duration::from_secs(15);
/// How long sent data may stay unacknowledged: what a dead process has left in the kernel must not arrive minutes
/// later, when it would look like a second host.
const UNACKNOWLEDGED_MS: u32 = 30_000;
/// Room for the head of an answer, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// The most header lines in an answer.
const MAX_HEADERS: usize = 64;

/// Where the control plane is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Host and port, for messages and the `Host` header.
    pub authority: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
    /// What the configured address has after the port; no slash at its end.
    pub prefix: String,
}

impl Target {
    /// Reads `https://host[:port][/prefix]`.
    pub fn parse(url: &str) -> Result<Self, ClientError> {
        Self::read(url).ok_or_else(|| ClientError::BadUrl {
            url: url.chars().take(200).collect(),
        })
    }

    fn read(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        let plain = uri.scheme_str() == Some("https") && uri.query().is_none() && !authority.as_str().contains('@');
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).ok()?;
        plain.then(|| Self {
            authority: authority.as_str().to_owned(),
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(443),
            name,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// An open connection; closed when dropped.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects, within [`CONNECT`].
    pub async fn open(target: &Target, tls: Arc<ClientConfig>) -> Result<Self, ClientError> {
        let opening = Self::open_unbounded(target, tls);
        timeout(CONNECT, opening).await.unwrap_or(Err(ClientError::TimedOut {
            doing: "the connection",
            after: CONNECT,
        }))
    }

    async fn open_unbounded(target: &Target, tls: Arc<ClientConfig>) -> Result<Self, ClientError> {
        let unreachable = |doing| {
            move |source: io::Error| ClientError::Unreachable {
                authority: target.authority.clone(),
                doing,
                source: source.into(),
            }
        };
        let tcp = TcpStream::connect((target.host.as_str(), target.port))
            .await
            .map_err(unreachable("connecting"))?;
        tcp.set_nodelay(true).map_err(unreachable("connecting"))?;
        rustix::net::sockopt::set_tcp_user_timeout(&tcp, UNACKNOWLEDGED_MS)
            .map_err(|error| unreachable("connecting")(error.into()))?;
        let stream = TlsConnector::from(tls)
            .connect(target.name.clone(), tcp)
            .await
            .map_err(|error| handshake_error(target, error))?;
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| hyper_error(target, error))?;
        let driver = tokio::spawn(async move {
            // Its errors reach whoever waits for an answer; an idle connection may end as it likes.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Whether the server has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.driver.is_finished()
    }

    /// Sends one request and waits for the head of its answer.
    pub async fn send(
        &mut self,
        target: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.sender.ready().await.map_err(|error| hyper_error(target, error))?;
        self.sender
            .send_request(request)
            .await
            .map_err(|error| hyper_error(target, error))
    }
}

fn handshake_error(target: &Target, error: io::Error) -> ClientError {
    let authority = target.authority.clone();
    match tls_cause(&error) {
        Some(tls) => sort_tls(authority, tls),
        None => ClientError::Unreachable {
            authority,
            doing: "the TLS handshake",
            source: error.into(),
        },
    }
}

/// In TLS 1.3 the client is done before the server has looked at its certificate: a refusal comes with the first read.
pub(super) fn hyper_error(target: &Target, error: hyper::Error) -> ClientError {
    let authority = target.authority.clone();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(now) = cause {
        if let Some(tls) = now.downcast_ref::<io::Error>().and_then(tls_cause) {
            return sort_tls(authority, tls);
        }
        cause = now.source();
    }
    if error.is_parse() {
        return ClientError::Malformed {
            what: error.to_string(),
        };
    }
    ClientError::Unreachable {
        authority,
        doing: "waiting for an answer",
        source: error.into(),
    }
}

fn tls_cause(error: &io::Error) -> Option<TlsError> {
    error.get_ref()?.downcast_ref::<TlsError>().cloned()
}

fn sort_tls(authority: String, error: TlsError) -> ClientError {
    match error {
        TlsError::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => ClientError::NotTaken {
            authority,
            source: error.into(),
        },
        TlsError::InvalidCertificate(_) | TlsError::PeerIncompatible(_) | TlsError::NoCertificatesPresented => {
            ClientError::Untrusted {
                authority,
                source: error.into(),
            }
        }
        other => ClientError::Unreachable {
            authority,
            doing: "the TLS handshake",
            source: other.into(),
        },
    }
}
