//! Secrets that have to be used again are stored encrypted: AES-256-GCM (NIST SP 800-38D) under a key of its own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{aead, hkdf};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Entropy, NoEntropy};

/// Set apart from every other use of the control plane's secret key.
const PURPOSE: &[u8] = b"plugmend secrets at rest v1";
/// What an encrypted value begins with.
const PREFIX: &str = "enc:v1:";

/// Opens and closes them.
#[derive(Clone)]
pub struct SecretBox(std::sync::Arc<aead::LessSafeKey>);

/// Why a secret can not be had.
#[derive(Debug, Error)]
pub enum SecretBoxError {
    /// It was encrypted under another key, or belongs elsewhere, or was changed.
    #[error("a stored secret can not be decrypted; was PLUGMEND_SECRET_KEY changed? give it anew")]
    Sealed,
    /// The system has no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl std::fmt::Debug for SecretBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBox")
    }
}

impl SecretBox {
    /// With a key that is derived (HKDF, RFC 5869) from the control plane's secret key.
    ///
    /// # Errors
    /// Never, with keys of this length.
    pub fn new(secret_key: &[u8; 32]) -> Result<Self, SecretBoxError> {
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret_key);
        let mut key = Zeroizing::new([0; 32]);
        derived
            .expand(&[PURPOSE], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key))
            .and_then(|()| aead::UnboundKey::new(&aead::AES_256_GCM, &*key))
            .map(|key| Self(std::sync::Arc::new(aead::LessSafeKey::new(key))))
            .map_err(|_| SecretBoxError::Sealed)
    }

    /// Encrypts the secret of `owner`; it can not be opened as anybody else's.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, owner: Uuid, secret: &str, entropy: &Entropy) -> Result<String, SecretBoxError> {
        let nonce: [u8; aead::NONCE_LEN] = entropy.bytes()?;
        let mut sealed = secret.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(owner.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SecretBoxError::Sealed)?;
        Ok(format!("{PREFIX}{}", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// Whether a stored value is encrypted; those of the reference system are not yet.
    pub fn is_sealed(stored: &str) -> bool {
        stored.starts_with(PREFIX)
    }

    /// Decrypts the secret of `owner`. One that is not encrypted yet is given as it is.
    ///
    /// # Errors
    /// When it is not this owner's, was changed, or another key was used.
    pub fn open(&self, owner: Uuid, stored: &str) -> Result<Zeroizing<String>, SecretBoxError> {
        let Some(text) = stored.strip_prefix(PREFIX) else {
            return Ok(Zeroizing::new(stored.to_owned()));
        };
        let bytes = STANDARD.decode(text).map_err(|_| SecretBoxError::Sealed)?;
        let (nonce, sealed) = bytes.split_at_checked(aead::NONCE_LEN).ok_or(SecretBoxError::Sealed)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretBoxError::Sealed)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let opened = self
            .0
            .open_in_place(nonce, aead::Aad::from(owner.as_bytes()), &mut sealed);
        let opened = opened.map_err(|_| SecretBoxError::Sealed)?;
        std::str::from_utf8(opened)
            .map(|text| Zeroizing::new(text.to_owned()))
            .map_err(|_| SecretBoxError::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_owner_under_its_key_and_unchanged_only() {
        let (ours, theirs) = (SecretBox::new(&[1; 32]).unwrap(), SecretBox::new(&[2; 32]).unwrap());
        let owner = Uuid::from_u128(7);
        let stored = ours.seal(owner, "whsec_x", &Entropy::new()).unwrap();
        assert!(SecretBox::is_sealed(&stored) && !stored.contains("whsec"));
        assert_eq!(ours.open(owner, &stored).unwrap().as_str(), "whsec_x");
        assert!(ours.open(Uuid::from_u128(8), &stored).is_err());
        assert!(theirs.open(owner, &stored).is_err());
        let changed = format!("{}AAAA", &stored[..stored.len() - 4]);
        assert!(ours.open(owner, &changed).is_err());
        assert!(ours.open(owner, "enc:v1:AAAA").is_err());
        assert_ne!(stored, ours.seal(owner, "whsec_x", &Entropy::new()).unwrap());
    }

    #[test]
    fn what_was_stored_before_there_was_encryption_is_still_read() {
        let ours = SecretBox::new(&[1; 32]).unwrap();
        assert_eq!(ours.open(Uuid::nil(), "plain").unwrap().as_str(), "plain");
    }
}
