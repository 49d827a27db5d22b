//! Length and hashes of a file, as signed metadata promise them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use thiserror::Error;

use crate::ids::Digest;

/// Hashes by algorithm: `sha256` and `sha512` are checked, others are kept and not relied on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(pub BTreeMap<String, String>);

/// How a file differs from what was signed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Shorter or longer than signed.
    #[error("it has {found} bytes where {signed} are signed")]
    Length {
        /// Bytes that came.
        found: u64,
        /// Bytes that were promised.
        signed: u64,
    },
    /// Other content than signed.
    #[error("its {0} differs from the signed one")]
    Hash(String),
    /// Nothing to check against.
    #[error("no hash that we know (sha256, sha512) is signed for it")]
    NoKnownHash,
}

impl Hashes {
    /// The SHA-256 of `bytes`, the one hash our own metadata carry.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from(Digest::of(bytes))
    }

    /// The signed SHA-256, when there is a well-formed one.
    pub fn sha256(&self) -> Option<Digest> {
        self.0.get("sha256").and_then(|text| text.parse().ok())
    }

    /// Checks every hash that we know; at least one must be there.
    ///
    /// # Errors
    /// When one differs or none is known.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut known = false;
        for (algorithm, signed) in &self.0 {
            let found = match algorithm.as_str() {
                "sha256" => hex::encode(Sha256::digest(bytes)),
                "sha512" => hex::encode(Sha512::digest(bytes)),
                _ => continue,
            };
            if found != *signed {
                return Err(Mismatch::Hash(algorithm.clone()));
            }
            known = true;
        }
        if known { Ok(()) } else { Err(Mismatch::NoKnownHash) }
    }
}

impl From<Digest> for Hashes {
    fn from(digest: Digest) -> Self {
        Self(BTreeMap::from([("sha256".to_owned(), digest.to_string())]))
    }
}

/// Checks a length that was signed.
///
/// # Errors
/// When it differs.
pub fn check_length(bytes: &[u8], signed: u64) -> Result<(), Mismatch> {
    let found = bytes.len() as u64;
    if found == signed {
        Ok(())
    } else {
        Err(Mismatch::Length { found, signed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_hash_must_agree() {
        let mut hashes = Hashes::of(b"content");
        assert_eq!(hashes.check(b"content"), Ok(()));
        assert_eq!(hashes.check(b"other"), Err(Mismatch::Hash("sha256".into())));
        hashes.0.insert("sha512".into(), "00".repeat(64));
        assert_eq!(hashes.check(b"content"), Err(Mismatch::Hash("sha512".into())));
    }

    #[test]
    fn unknown_hashes_alone_prove_nothing() {
        let hashes = Hashes(BTreeMap::from([("md5".to_owned(), "00".repeat(16))]));
        assert_eq!(hashes.check(b""), Err(Mismatch::NoKnownHash));
        assert_eq!(Hashes::default().check(b""), Err(Mismatch::NoKnownHash));
    }

    #[test]
    fn the_length_must_be_the_signed_one() {
        assert_eq!(check_length(b"abc", 3), Ok(()));
        assert_eq!(check_length(b"abc", 2), Err(Mismatch::Length { found: 3, signed: 2 }));
    }
}
