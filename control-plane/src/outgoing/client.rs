//! The client: what is called, with what, and what came back.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::SecretString;
use tokio_rustls::TlsConnector;

use super::{Endpoint, OutgoingError, exchange};

/// The longest wait that an answer may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// One call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// What to do.
    pub method: Method,
    /// From the endpoint's own path: begins with a slash, or is empty.
    pub path: &'a str,
    /// Beside `Host`, `User-Agent`, `Content-Length` and the bearer token.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<&'a SecretString>,
    /// What is sent; empty for nothing.
    pub body: Bytes,
    /// The longest the whole call may take.
    pub within: Duration,
    /// The longest answer, in bytes.
    pub at_most: u64,
}

/// What came back, whatever its status: redirects are answers like any other.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

impl Answer {
    /// How long it asks to wait, in whole seconds as RFC 9110 section 10.2.3 has it; an hour at most.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        let seconds = text.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
    }
}

/// Makes calls. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    pub(super) tls: TlsConnector,
    pub(super) allowed: Option<Arc<dyn Fn(IpAddr) -> bool + Send + Sync>>,
}

impl HttpClient {
    /// A client that trusts the public authorities, and those in `extra_ca_pem` beside them.
    ///
    /// # Errors
    /// There is no certificate in the PEM text, or it can not be used.
    pub fn new(extra_ca_pem: Option<&[u8]>) -> Result<Self, OutgoingError> {
        let wrong = |why: String| OutgoingError::Address(format!("the additional CA can not be used: {why}"));
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(pem) = extra_ca_pem {
            let public = roots.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
            }
            if roots.len() == public {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            allowed: None,
        })
    }

    /// The same client, which calls only addresses that `allowed` says yes to.
    #[must_use]
    pub fn only_to(mut self, allowed: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.allowed = Some(Arc::new(allowed));
        self
    }

    /// Makes one call.
    ///
    /// # Errors
    /// No whole answer came within its bounds. A refusal by status is an answer.
    pub async fn call(&self, to: &Endpoint, call: Call<'_>) -> Result<Answer, OutgoingError> {
        let after = call.within;
        match tokio::time::timeout(after, exchange::run(self, to, call)).await {
            Ok(answered) => answered,
            Err(_) => Err(OutgoingError::TimedOut {
                host: to.place(),
                after,
            }),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}
