//! What an agent asks to have certified. Of its request only the key is used; names and extensions in it are ignored.

use plugmend_shared::ids::Digest;
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use thiserror::Error;
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519},
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

/// The longest request, in bytes of PEM.
const MAX_PEM: usize = 8 * 1024;
/// A P-256 point, uncompressed (SEC 1 section 2.3.3).
const P256_POINT: usize = 65;
/// An Ed25519 key (RFC 8410).
const ED25519_KEY: usize = 32;

/// Why a request is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// Too long.
    #[error("the certificate request is longer than 8 KiB")]
    TooLong,
    /// Not one PKCS #10 request in PEM.
    #[error("the certificate request is not one PEM block CERTIFICATE REQUEST holding PKCS #10")]
    Malformed,
    /// A key of another kind.
    #[error("the key of the certificate request is neither P-256 nor Ed25519")]
    KeyKind,
    /// The signature is not by the key in it.
    #[error("the certificate request is not signed by its own key")]
    NotPossessed,
}

/// A request whose sender has proved to hold the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRequest {
    /// The public key, `SubjectPublicKeyInfo` in DER.
    pub spki_der: Vec<u8>,
    /// Its SHA-256.
    pub key: Digest,
}

struct RequestDer(Vec<u8>);

impl PemObject for RequestDer {
    fn from_pem(kind: SectionKind, der: Vec<u8>) -> Option<Self> {
        (kind == SectionKind::Csr).then_some(Self(der))
    }
}

/// Checks a request: size, form, kind of key, possession.
pub fn check(request_pem: &str) -> Result<CheckedRequest, RequestError> {
    if request_pem.len() > MAX_PEM {
        return Err(RequestError::TooLong);
    }
    let mut blocks = RequestDer::pem_slice_iter(request_pem.as_bytes());
    let RequestDer(der) = blocks
        .next()
        .and_then(|block: Result<_, pem::Error>| block.ok())
        .ok_or(RequestError::Malformed)?;
    if blocks.next().is_some() {
        return Err(RequestError::Malformed);
    }
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| RequestError::Malformed)?;
    if !rest.is_empty() {
        return Err(RequestError::Malformed);
    }
    let key = &request.certification_request_info.subject_pki;
    check_kind(key)?;
    request.verify_signature().map_err(|_| RequestError::NotPossessed)?;
    Ok(CheckedRequest {
        spki_der: key.raw.to_vec(),
        key: Digest::of(key.raw),
    })
}

fn check_kind(key: &SubjectPublicKeyInfo<'_>) -> Result<(), RequestError> {
    let bytes = &key.subject_public_key.data;
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok());
    let p256 = key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve == Some(OID_EC_P256)
        && bytes.len() == P256_POINT
        && bytes[0] == 4;
    let ed25519 = key.algorithm.algorithm == OID_SIG_ED25519 && curve.is_none() && bytes.len() == ED25519_KEY;
    if p256 || ed25519 {
        Ok(())
    } else {
        Err(RequestError::KeyKind)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{
        CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType,
        SignatureAlgorithm,
    };

    use super::*;

    fn request(algorithm: &'static SignatureAlgorithm, params: &CertificateParams) -> String {
        let key = KeyPair::generate_for(algorithm).unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn both_kinds_of_key_are_taken_and_others_are_not() {
        for good in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
            assert!(check(&request(good, &CertificateParams::default())).is_ok());
        }
        let p384 = request(&PKCS_ECDSA_P384_SHA384, &CertificateParams::default());
        assert_eq!(check(&p384), Err(RequestError::KeyKind));
    }

    #[test]
    fn a_request_that_asks_for_names_and_power_yields_its_key_and_nothing_else() {
        let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
        let uri = "spiffe://plugmend.example/merchant/x/plugin/y".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        params.is_ca = IsCa::NoCa;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let checked = check(&params.serialize_request(&key).unwrap().pem().unwrap()).unwrap();
        let plain = CertificateParams::default()
            .serialize_request(&key)
            .unwrap()
            .pem()
            .unwrap();
        assert_eq!(checked, check(&plain).unwrap());
    }

    #[test]
    fn a_request_for_someone_elses_key_is_refused() {
        let pem = request(&PKCS_ECDSA_P256_SHA256, &CertificateParams::default());
        let other = request(&PKCS_ECDSA_P256_SHA256, &CertificateParams::default());
        let (mut der, theirs) = (decode(&pem), check(&other).unwrap().spki_der);
        let ours = check(&pem).unwrap().spki_der;
        let at = der.windows(ours.len()).position(|window| window == ours).unwrap();
        der[at..at + theirs.len()].copy_from_slice(&theirs);
        assert_eq!(check(&encode(&der)), Err(RequestError::NotPossessed));
    }

    #[test]
    fn garbage_and_excess_are_refused() {
        let pem = request(&PKCS_ECDSA_P256_SHA256, &CertificateParams::default());
        assert_eq!(check(""), Err(RequestError::Malformed));
        assert_eq!(
            check("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
            Err(RequestError::Malformed)
        );
        assert_eq!(check(&format!("{pem}{pem}")), Err(RequestError::Malformed));
        assert_eq!(check(&" ".repeat(MAX_PEM + 1)), Err(RequestError::TooLong));
        let mut trailing = decode(&pem);
        trailing.push(0);
        assert_eq!(check(&encode(&trailing)), Err(RequestError::Malformed));
    }

    proptest! {
        #[test]
        fn no_flipped_byte_is_taken_for_another_key(at in 0_usize..400, flip in 1_u8..) {
            let pem = request(&PKCS_ECDSA_P256_SHA256, &CertificateParams::default());
            let honest = check(&pem).unwrap();
            let mut der = decode(&pem);
            let at = at % der.len();
            der[at] ^= flip;
            if let Ok(checked) = check(&encode(&der)) {
                prop_assert_eq!(checked, honest);
            }
        }
    }

    fn decode(pem: &str) -> Vec<u8> {
        RequestDer::from_pem_slice(pem.as_bytes()).unwrap().0
    }

    fn encode(der: &[u8]) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let text = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
    }
}
