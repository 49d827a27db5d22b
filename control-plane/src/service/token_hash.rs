//! Secrets of enrolment tokens: random 256 bits, stored as a keyed hash, compared in constant time.

use plugmend_shared::ids::Digest;
use ring::hmac;
use uuid::Uuid;

/// Set apart from every other use of the same key.
const PURPOSE: &[u8] = b"plugmend enrolment token v1\0";

/// The key of the hashes.
#[derive(Clone)]
pub struct TokenHasher(hmac::Key);

impl TokenHasher {
    /// From the control plane's secret key.
    pub fn new(secret_key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret_key))
    }

    /// The hash that is stored for the token `id`.
    pub fn hash(&self, id: Uuid, secret: &[u8; 32]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.0, &message(id, secret)).as_ref());
        out
    }

    /// Whether `secret` is the one that was stored, in constant time.
    pub fn matches(&self, id: Uuid, secret: &[u8; 32], stored: &[u8]) -> bool {
        hmac::verify(&self.0, &message(id, secret), stored).is_ok()
    }
}

impl std::fmt::Debug for TokenHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHasher")
    }
}

fn message(id: Uuid, secret: &[u8; 32]) -> Vec<u8> {
    [PURPOSE, id.as_bytes(), secret].concat()
}

/// A token as it is shown once: `pmt_<id>_<secret>`, both hexadecimal.
pub fn write(id: Uuid, secret: &[u8; 32]) -> String {
    format!("pmt_{}_{}", id.simple(), hex::encode(secret))
}

/// Reads one; `None` when it is anything else.
pub fn read(token: &str) -> Option<(Uuid, [u8; 32])> {
    let (id, secret) = token.strip_prefix("pmt_")?.split_once('_')?;
    // The digest's reader takes exactly 64 lower-case digits: one spelling only.
    let secret: Digest = secret.parse().ok()?;
    let id = (id.len() == 32).then(|| Uuid::try_parse(id).ok())??;
    Some((id, secret.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_writing_and_reading_and_nothing_else_is_one() {
        let id = Uuid::from_u128(7);
        let token = write(id, &[9; 32]);
        assert_eq!(read(&token), Some((id, [9; 32])));
        for bad in [
            "",
            "pmt_",
            "pmt_x_y",
            &token[1..],
            &token[..token.len() - 1],
            &format!("{token}0"),
            &token.to_uppercase(),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_hash_fits_one_token_and_one_key() {
        let (ours, theirs) = (TokenHasher::new(&[1; 32]), TokenHasher::new(&[2; 32]));
        let id = Uuid::from_u128(7);
        let stored = ours.hash(id, &[9; 32]);
        assert!(ours.matches(id, &[9; 32], &stored));
        assert!(!ours.matches(id, &[8; 32], &stored));
        assert!(!ours.matches(Uuid::from_u128(8), &[9; 32], &stored));
        assert!(!theirs.matches(id, &[9; 32], &stored));
        assert!(!ours.matches(id, &[9; 32], &stored[..31]));
    }
}
