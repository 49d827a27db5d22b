//! Public keys as metadata carry them, and the check of one signature.

use std::fmt;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    json::{self, JsonError},
    spki::{self, Kind},
};
use crate::ids::Digest;

/// The name of a key: for our own keys the SHA-256 of the key's canonical JSON, in hexadecimal. Others' metadata may
/// name keys as they like, so a name proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for KeyId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// A public key (specification section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The family: `ed25519`, `ecdsa` or `rsa`.
    pub keytype: String,
    /// How it signs: `ed25519`, `ecdsa-sha2-nistp256`, `ecdsa-sha2-nistp384`, `rsassa-pss-sha256`,
    /// `rsa-pkcs1v15-sha256`. Others are kept but never count.
    pub scheme: String,
    /// The key itself.
    pub keyval: KeyVal,
    /// Fields we do not know; they belong to the key's name and are kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The value of a [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyVal {
    /// 64 hexadecimal digits for Ed25519, PEM for the others.
    pub public: String,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Key {
    /// An Ed25519 key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        Self {
            keytype: "ed25519".into(),
            scheme: "ed25519".into(),
            keyval: KeyVal {
                public: hex::encode(public),
                extra: Map::new(),
            },
            extra: Map::new(),
        }
    }

    /// The name the specification gives this key: SHA-256 of its canonical JSON.
    ///
    /// # Errors
    /// When an unknown field holds a number that is not whole.
    pub fn id(&self) -> Result<KeyId, JsonError> {
        let value = serde_json::to_value(self).map_err(JsonError::Syntax)?;
        Ok(KeyId(Digest::of(&json::canonical(&value)?).to_string()))
    }

    /// The key ready to check signatures; `None` when its type or scheme is not supported or its value malformed. Such
    /// a key never counts towards a threshold.
    pub fn verifier(&self) -> Option<Verifier> {
        let scheme = match (self.keytype.as_str(), self.scheme.as_str()) {
            ("ed25519", "ed25519") => Scheme::Ed25519,
            // Older repositories name the type like the scheme.
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => Scheme::EcdsaP256,
            ("ecdsa" | "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384") => Scheme::EcdsaP384,
            ("rsa", "rsassa-pss-sha256") => Scheme::RsaPss,
            ("rsa", "rsa-pkcs1v15-sha256") => Scheme::RsaPkcs1,
            _ => return None,
        };
        let material = match scheme {
            Scheme::Ed25519 => {
                let mut raw = [0; 32];
                hex::decode_to_slice(&self.keyval.public, &mut raw).ok()?;
                raw.to_vec()
            }
            _ => match (spki::from_pem(&self.keyval.public)?, scheme) {
                ((Kind::P256, raw), Scheme::EcdsaP256)
                | ((Kind::P384, raw), Scheme::EcdsaP384)
                | ((Kind::Rsa, raw), Scheme::RsaPss | Scheme::RsaPkcs1) => raw,
                _ => return None,
            },
        };
        Some(Verifier { scheme, material })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    RsaPss,
    RsaPkcs1,
}

impl Scheme {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &signature::ED25519,
            Self::EcdsaP256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::RsaPss => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPkcs1 => &signature::RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// A public key that can check signatures.
#[derive(Debug, Clone)]
pub struct Verifier {
    scheme: Scheme,
    material: Vec<u8>,
}

impl Verifier {
    /// Whether `signature` over `message` is this key's.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.scheme.algorithm(), &self.material)
            .verify(message, signature)
            .is_ok()
    }

    /// Whether both are the same key, whatever they are called, however they are spelt and whichever scheme they use:
    /// one key holder is one signer.
    pub fn same_key(&self, other: &Self) -> bool {
        self.material == other.material
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_key_is_the_digest_of_its_canonical_json() {
        let key = Key::ed25519(&[0xab; 32]);
        let canonical = format!(
            r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
            "ab".repeat(32)
        );
        assert_eq!(key.id().unwrap().0, Digest::of(canonical.as_bytes()).to_string());
    }

    #[test]
    fn a_field_we_do_not_know_belongs_to_the_name() {
        let mut key = Key::ed25519(&[1; 32]);
        let plain = key.id().unwrap();
        key.extra.insert("x-owner".into(), "somebody".into());
        assert_ne!(key.id().unwrap(), plain);
    }

    #[test]
    fn a_key_of_an_unknown_or_mismatched_scheme_can_not_verify() {
        let mut key = Key::ed25519(&[1; 32]);
        key.scheme = "ed448".into();
        assert!(key.verifier().is_none());
        key.scheme = "ed25519".into();
        key.keyval.public = "zz".repeat(32);
        assert!(key.verifier().is_none());
        key.keytype = "rsa".into();
        assert!(key.verifier().is_none());
    }

    #[test]
    fn spelling_does_not_make_another_key() {
        let mut upper = Key::ed25519(&[0xab; 32]);
        upper.keyval.public = upper.keyval.public.to_uppercase();
        let lower = Key::ed25519(&[0xab; 32]);
        assert_ne!(upper.id().unwrap(), lower.id().unwrap());
        assert!(upper.verifier().unwrap().same_key(&lower.verifier().unwrap()));
    }
}
