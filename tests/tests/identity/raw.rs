//! What no agent of ours would do: requests without a certificate or with someone else's, and a false gateway.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use plugmend_agent::upstream::identity_store::StoredIdentity;
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::stand::Stand;

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// Chain and key to show.
pub type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub fn shown(identity: &StoredIdentity) -> Shown {
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes()).unwrap();
    (chain, key)
}

pub async fn connect(stand: &Stand, shown: Option<Shown>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(stand.ca.certificate().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(stand.gateway).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// One request on a connection of its own.
pub async fn send(stand: &Stand, shown: Option<Shown>, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    let tls = connect(stand, shown).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(Answer { status, body })
}

pub async fn post(stand: &Stand, path: &str, body: &[u8]) -> Answer {
    let request = Request::post(path)
        .header("host", "localhost")
        .body(Full::new(Bytes::copy_from_slice(body)));
    send(stand, None, request.unwrap()).await.unwrap()
}

pub async fn enrol(stand: &Stand, token: &str, csr: &str) -> Answer {
    let body = serde_json::json!({
        "token": token, "csr_pem": csr, "product": crate::stand::PRODUCT, "cms": "node", "agent_version": "0",
    });
    post(stand, "/v1/enrol", body.to_string().as_bytes()).await
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "localhost")
        .body(Full::default())
        .unwrap()
}

/// The extension that says "I am a CA" (RFC 5280 section 4.2.1.9), as a request may carry it.
pub fn basic_constraints_ca() -> rcgen::CustomExtension {
    rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0x03, 0x01, 0x01, 0xff])
}

/// A server that shows an agent's certificate.
pub async fn impostor(identity: &StoredIdentity) -> SocketAddr {
    let (chain, key) = shown(identity);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _refused = acceptor.accept(tcp).await;
        }
    });
    address
}
