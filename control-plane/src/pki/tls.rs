//! TLS as the gateway speaks it: 1.3 only, a client certificate if there is one, no resumption.

use std::{sync::Arc, time::Duration};

use rustls::{ServerConfig, crypto::ring, server::NoServerSessionStorage, version::TLS13};
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use super::{gateway_certificate::GatewayCertificate, verifier::AgentCertVerifier};

/// TLS could not be set up.
#[derive(Debug, Error)]
#[error("the gateway's TLS can not be set up")]
pub struct TlsSetupError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The gateway's configuration. `grace` is how long after its end a certificate may still renew itself.
pub fn server_config(
    ca: &CertificateDer<'static>,
    certificate: Arc<GatewayCertificate>,
    grace: Duration,
) -> Result<Arc<ServerConfig>, TlsSetupError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = AgentCertVerifier::new(ca, grace, &provider).map_err(|error| TlsSetupError(error.into()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsSetupError(error.into()))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(certificate);
    // A ticket would carry a certificate past the check of its dates.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
