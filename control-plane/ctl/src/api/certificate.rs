//! The certificate that the control plane shows.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hyper::Uri;
use jiff::Timestamp;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Api;

/// The longest that the handshake may take.
const LIMIT: Duration = Duration::from_secs(20);

impl Api {
    /// When the server's certificate ends; `None` where no TLS is spoken.
    ///
    /// # Errors
    /// When there is no connection, or the certificate is not one to trust.
    pub fn certificate_ends(&self) -> anyhow::Result<Option<Timestamp>> {
        let uri: Uri = self.base().parse()?;
        if uri.scheme_str() != Some("https") {
            return Ok(None);
        }
        let host = uri.host().context("the address has no host")?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(443);
        let name = ServerName::try_from(host.to_owned())?;
        let handshake = async {
            let stream = TcpStream::connect((host, port)).await?;
            let connector = TlsConnector::from(Arc::new(self.tls().clone()));
            connector.connect(name, stream).await
        };
        let stream = self.block_on(async { tokio::time::timeout(LIMIT, handshake).await })??;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = shown.context("the server showed no certificate")?;
        let (_, certificate) = X509Certificate::from_der(shown).context("the certificate can not be read")?;
        Ok(Some(Timestamp::from_second(
            certificate.validity().not_after.timestamp(),
        )?))
    }
}
