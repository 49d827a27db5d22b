//! Checks the certificates of agents in the TLS handshake: the chain to our CA, the purpose, and the dates with a
//! grace. A connection without a certificate is let in; what it may ask is decided per request, and so is what one
//! with an expired certificate may.

use std::{fmt, sync::Arc, time::Duration};

use plugmend_shared::protocol::identity::AgentName;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::GeneralName;

/// The verifier of the gateway.
pub struct AgentCertVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    grace: Duration,
}

impl AgentCertVerifier {
    /// Trusts `ca` alone; a certificate may have expired up to `grace` ago.
    pub fn new(
        ca: &CertificateDer<'static>,
        grace: Duration,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let mut roots = RootCertStore::empty();
        // A CA that is no CA leaves the store empty, and the builder refuses that.
        let _added = roots.add_parsable_certificates([ca.clone()]);
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()?;
        Ok(Self { inner, grace })
    }
}

impl fmt::Debug for AgentCertVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentCertVerifier")
    }
}

/// When a certificate ends, in seconds since the epoch; `None` when it can not be read.
pub fn ends_at(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp()).ok()
}

impl ClientCertVerifier for AgentCertVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let verdict = self.inner.verify_client_cert(end_entity, intermediates, now);
        let Err(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) =
            &verdict
        else {
            return verdict;
        };
        match ends_at(end_entity) {
            Some(end) if now.as_secs().saturating_sub(end) <= self.grace.as_secs() => {
                let then = UnixTime::since_unix_epoch(Duration::from_secs(end));
                self.inner.verify_client_cert(end_entity, intermediates, then)
            }
            _ => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The name of the agent that a certificate was issued to; `None` when it has none, or more than one.
pub fn agent_name(certificate: &CertificateDer<'_>) -> Option<AgentName> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => AgentName::from_uri(uri),
        _ => None,
    }
}
