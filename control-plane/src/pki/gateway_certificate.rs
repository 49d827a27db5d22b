//! The gateway's own certificate: issued by the agents' CA and replaced long before it ends, or a configured one.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    crypto::ring::sign::any_supported_type,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use thiserror::Error;

use super::{AgentCa, CaError, ca::forth, secret_file};

/// How long a certificate that we issue to ourselves is good for.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Why the gateway has no certificate.
#[derive(Debug, Error)]
pub enum GatewayCertificateError {
    /// The CA could not sign it.
    #[error("the gateway's certificate could not be issued; check PLUGMEND_GATEWAY_NAMES")]
    Issue(#[from] CaError),
    /// The key could not be made.
    #[error("the gateway's key could not be made")]
    Key(#[from] rcgen::Error),
    /// A configured file can not be used.
    #[error("the gateway's configured certificate or key {path} can not be used: {why}")]
    Configured {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Hands the present certificate to each handshake.
pub struct GatewayCertificate {
    current: RwLock<Arc<CertifiedKey>>,
}

impl GatewayCertificate {
    /// Issues one for these DNS names and addresses.
    pub fn issue(
        ca: &AgentCa,
        names: &[String],
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<Self, GatewayCertificateError> {
        let current = RwLock::new(issue(ca, names, now, random)?);
        Ok(Self { current })
    }

    /// Reads a configured one: the chain, and its key (0600).
    pub fn configured(chain: &Path, key: &Path) -> Result<Self, GatewayCertificateError> {
        let unusable = |path: &Path, why: String| GatewayCertificateError::Configured {
            path: path.to_owned(),
            why,
        };
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(chain, error.to_string()))?;
        let pem = secret_file::read(key).map_err(|error| unusable(key, error.to_string()))?;
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable(key, error.to_string()))?;
        let signer = any_supported_type(&der).map_err(|error| unusable(key, error.to_string()))?;
        let certified = CertifiedKey::new(certificates, signer);
        certified
            .keys_match()
            .map_err(|error| unusable(key, error.to_string()))?;
        Ok(Self {
            current: RwLock::new(Arc::new(certified)),
        })
    }

    /// Issues the next one; new handshakes use it from now on.
    pub fn replace(
        &self,
        ca: &AgentCa,
        names: &[String],
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<(), GatewayCertificateError> {
        let fresh = issue(ca, names, now, random)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// After how long the next one should be issued.
    pub const RENEW_AFTER: std::time::Duration = std::time::Duration::from_hours(24 * 10);
}

fn issue(
    ca: &AgentCa,
    names: &[String],
    now: Timestamp,
    random: [u8; 16],
) -> Result<Arc<CertifiedKey>, GatewayCertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let issued = ca.issue_gateway(names, &key, (now, forth(now, LIFETIME)), random)?;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(|why| configured("key", why))?;
    let signer = any_supported_type(&der).map_err(|error| configured("key", &error.to_string()))?;
    // The CA's certificate goes along: an agent that knows only its fingerprint needs to see it.
    let chain = vec![issued.der, ca.certificate().clone()];
    Ok(Arc::new(CertifiedKey::new(chain, signer)))
}

fn configured(what: &str, why: &str) -> GatewayCertificateError {
    GatewayCertificateError::Configured {
        path: PathBuf::from(what),
        why: why.to_owned(),
    }
}

impl fmt::Debug for GatewayCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayCertificate")
    }
}

impl ResolvesServerCert for GatewayCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
