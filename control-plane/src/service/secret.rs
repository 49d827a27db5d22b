//! Plugin secrets: random 256 bits, known here by a keyed hash only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use zeroize::Zeroizing;

/// What a plugin secret begins with, so that people and scanners recognise one.
const PREFIX: &str = "pms_";

/// Makes the keyed hashes (HMAC-SHA256, RFC 2104) of plugin secrets.
#[derive(Clone)]
pub struct SecretHasher(hmac::Key);

impl SecretHasher {
    /// With the server's key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The keyed hash of a secret.
    pub fn hash(&self, secret: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.0, secret.as_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }
}

/// A secret out of 32 random bytes.
pub fn spell(random: [u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_secret_and_on_the_servers_key() {
        let (one, other) = (SecretHasher::new(&[1; 32]), SecretHasher::new(&[2; 32]));
        assert_eq!(one.hash("a"), one.hash("a"));
        assert_ne!(one.hash("a"), one.hash("b"));
        assert_ne!(one.hash("a"), other.hash("a"));
    }

    #[test]
    fn a_secret_has_256_bits_after_its_prefix() {
        let secret = spell([7; 32]);
        assert_eq!(
            URL_SAFE_NO_PAD.decode(secret.strip_prefix(PREFIX).unwrap()).unwrap(),
            [7; 32]
        );
    }
}
