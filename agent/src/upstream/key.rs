//! Keys are made here, on the host, and never leave it.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use thiserror::Error;

use super::identity_store::{IdentityStore, IdentityStoreError, KeyPem, Pending, Purpose};

/// Why there is no request for a certificate.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system's randomness failed.
    #[error("a new key could not be made")]
    Make(#[from] rcgen::Error),
    /// The key could not be put on disk.
    #[error("a new key could not be kept")]
    Keep(#[from] IdentityStoreError),
}

/// The request that has begun for `purpose`, or a new one, which is on disk when this returns.
pub(super) fn request_for(store: &IdentityStore, purpose: Purpose) -> Result<Pending, KeyError> {
    if let Some(pending) = store.pending(&purpose)? {
        return Ok(pending);
    }
    let fresh = new_request(purpose)?;
    store.begin(&fresh)?;
    Ok(fresh)
}

/// A new P-256 key and the request (PKCS #10, RFC 2986) that proves possession of it. The request names nothing: the
/// control plane decides the names.
fn new_request(purpose: Purpose) -> Result<Pending, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let csr_pem = params.serialize_request(&key)?.pem()?;
    Ok(Pending {
        purpose,
        key_pem: KeyPem::new(key.serialize_pem()),
        csr_pem,
    })
}
