//! TLS 1.3 towards the control plane: whom we trust, and how we prove who we are.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use plugmend_shared::ids::Digest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

use super::{
    error::{BoxError, ClientError},
    identity_store::StoredIdentity,
};

/// How far the host's clock may be off before the gateway's certificate is held against it.
const SKEW: Duration = Duration::from_hours(24);

/// What the gateway's certificate is checked against at first contact.
#[derive(Debug, Clone)]
pub enum CaTrust {
    /// Certificates in this PEM file.
    File(PathBuf),
    /// The CA whose certificate (DER) has this SHA-256, as shown with the token; the gateway sends the certificate.
    Sha256(Digest),
}

/// The TLS set-up for first contact: no certificate of our own yet.
pub(super) fn for_enrolment(trust: &CaTrust) -> Result<Arc<ClientConfig>, ClientError> {
    let anchor = match trust {
        CaTrust::Sha256(digest) => Anchor::Pin(*digest),
        CaTrust::File(path) => {
            let pem = std::fs::read(path).map_err(|error| {
                ClientError::BadIdentity(format!("reading the CA file {} failed: {error}", path.display()).into())
            })?;
            Anchor::Roots(roots(&pem).map_err(ClientError::BadIdentity)?)
        }
    };
    let builder = builder(anchor).map_err(ClientError::BadIdentity)?;
    Ok(finish(builder.with_no_client_auth()))
}

/// The TLS set-up of an enrolled agent.
pub(super) fn for_identity(identity: &StoredIdentity) -> Result<Arc<ClientConfig>, ClientError> {
    build_for_identity(identity).map_err(ClientError::BadIdentity)
}

fn build_for_identity(identity: &StoredIdentity) -> Result<Arc<ClientConfig>, BoxError> {
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())?;
    let builder = builder(Anchor::Roots(roots(identity.ca_pem.as_bytes())?))?;
    // rustls compares key and certificate here, so a mixed-up pair never reaches the wire.
    Ok(finish(builder.with_client_auth_cert(chain, key)?))
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    // One long-lived connection: a session cache would only cost memory, and outlive a revocation.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

type ConfigBuilder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(anchor: Anchor) -> Result<ConfigBuilder, BoxError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(GatewayVerifier::new(anchor, &provider)?);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, BoxError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate?)?;
    }
    if store.is_empty() {
        return Err("there is no certificate in the CA file".into());
    }
    Ok(store)
}

enum Anchor {
    Roots(RootCertStore),
    Pin(Digest),
}

/// The usual checks (chain, dates, host name, purpose), with two differences: dates forgive a host whose clock is up
/// to a day off, and at first contact the root may be the certificate with a known fingerprint.
struct GatewayVerifier {
    anchor: Checked,
    provider: Arc<CryptoProvider>,
}

enum Checked {
    Roots(Arc<WebPkiServerVerifier>),
    Pin(Digest),
}

impl GatewayVerifier {
    fn new(anchor: Anchor, provider: &Arc<CryptoProvider>) -> Result<Self, BoxError> {
        let anchor = match anchor {
            Anchor::Pin(digest) => Checked::Pin(digest),
            Anchor::Roots(roots) => Checked::Roots(webpki(roots, provider)?),
        };
        Ok(Self {
            anchor,
            provider: provider.clone(),
        })
    }

    fn inner(&self, sent: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
        let pin = match &self.anchor {
            Checked::Roots(verifier) => return Ok(verifier.clone()),
            Checked::Pin(pin) => pin,
        };
        let unknown = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let root = sent
            .iter()
            .find(|certificate| Digest::of(certificate) == *pin)
            .ok_or(unknown.clone())?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        webpki(roots, &self.provider).map_err(|_| unknown)
    }
}

fn webpki(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, rustls::client::VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()
}

impl fmt::Debug for GatewayVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayVerifier")
    }
}

impl ServerCertVerifier for GatewayVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let inner = self.inner(intermediates)?;
        let check = |at| inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at);
        let now_s = Duration::from_secs(now.as_secs());
        match check(now) {
            Err(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
                check(UnixTime::since_unix_epoch(now_s.saturating_sub(SKEW)))
            }
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) => check(UnixTime::since_unix_epoch(now_s.saturating_add(SKEW))),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::PeerIncompatible(
            rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

    use super::*;

    /// The gateway's certificate is good for the whole of 2026.
    const BEGINS: u64 = 1_767_225_600;
    const ENDS: u64 = 1_798_761_600;
    const DAY: u64 = 86_400;

    struct Gateway {
        ca: CertificateDer<'static>,
        own: CertificateDer<'static>,
    }

    fn gateway(purpose: ExtendedKeyUsagePurpose) -> Gateway {
        let mut of_ca = CertificateParams::default();
        of_ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = CertifiedIssuer::self_signed(of_ca, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.extended_key_usages = vec![purpose];
        let own = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        Gateway {
            ca: issuer.der().clone(),
            own: own.into(),
        }
    }

    fn check(gateway: &Gateway, anchor: Anchor, name: &str, at: u64) -> Result<(), TlsError> {
        let verifier = GatewayVerifier::new(anchor, &Arc::new(ring::default_provider())).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let sent = [gateway.ca.clone()];
        verifier
            .verify_server_cert(&gateway.own, &sent, &name, &[], at)
            .map(|_| ())
    }

    fn pinned(gateway: &Gateway) -> Anchor {
        Anchor::Pin(Digest::of(&gateway.ca))
    }

    fn trusted(gateway: &Gateway) -> Anchor {
        let mut store = RootCertStore::empty();
        store.add(gateway.ca.clone()).unwrap();
        Anchor::Roots(store)
    }

    #[test]
    fn a_hosts_clock_may_be_a_day_off_either_way_and_no_more() {
        let gateway = gateway(ExtendedKeyUsagePurpose::ServerAuth);
        for anchor in [pinned, trusted] {
            let at = |at| check(&gateway, anchor(&gateway), "gateway.example", at).is_ok();
            assert!(at(BEGINS + 1) && at(BEGINS - DAY + 60) && at(ENDS - 1) && at(ENDS + DAY - 60));
            assert!(!at(BEGINS - DAY - 60) && !at(ENDS + DAY + 60));
        }
    }

    #[test]
    fn a_fingerprint_is_of_one_ca_only() {
        let (ours, theirs) = (
            gateway(ExtendedKeyUsagePurpose::ServerAuth),
            gateway(ExtendedKeyUsagePurpose::ServerAuth),
        );
        assert!(check(&ours, pinned(&theirs), "gateway.example", BEGINS + DAY).is_err());
        // The right CA is sent along, but it has not signed the certificate.
        let mixed = Gateway {
            ca: ours.ca.clone(),
            own: theirs.own,
        };
        assert!(check(&mixed, pinned(&ours), "gateway.example", BEGINS + DAY).is_err());
    }

    #[test]
    fn neither_another_host_nor_an_agent_is_the_gateway() {
        let gateway_of = |purpose| gateway(purpose);
        let real = gateway_of(ExtendedKeyUsagePurpose::ServerAuth);
        assert!(check(&real, trusted(&real), "elsewhere.example", BEGINS + DAY).is_err());
        let agent = gateway_of(ExtendedKeyUsagePurpose::ClientAuth);
        assert!(check(&agent, trusted(&agent), "gateway.example", BEGINS + DAY).is_err());
        assert!(check(&agent, pinned(&agent), "gateway.example", BEGINS + DAY).is_err());
    }
}
