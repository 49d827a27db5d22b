//! Why metadata are refused.

use jiff::Timestamp;
use thiserror::Error;

use super::{hash::Mismatch, json::JsonError, key::KeyId};

/// Why a document is not trusted, or can not be signed. Nothing that was refused changes what is trusted.
#[derive(Debug, Error)]
pub enum Error {
    /// Not JSON that may be signed.
    #[error("{role} metadata can not be read")]
    Json {
        /// Which document.
        role: String,
        /// What is wrong with it.
        #[source]
        source: JsonError,
    },
    /// JSON, but not the shape of this role.
    #[error("{role} metadata do not have the shape that TUF 1.0 asks for")]
    Shape {
        /// Which document.
        role: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The right shape, but it breaks a rule.
    #[error("{role} metadata break a rule: {rule}")]
    Rule {
        /// Which document.
        role: String,
        /// Which rule.
        rule: String,
    },
    /// Too few distinct keys signed.
    #[error("{role} metadata carry {valid} valid signatures of distinct keys where {threshold} are needed")]
    Threshold {
        /// Which document.
        role: String,
        /// Valid signatures of distinct authorised keys.
        valid: u32,
        /// What the delegating role asks for.
        threshold: u32,
    },
    /// Older than what is trusted already, or not the version that was promised.
    #[error("{role} metadata have version {found} where {wanted} is wanted")]
    Version {
        /// Which document.
        role: String,
        /// The version that came.
        found: u64,
        /// The version, or the least version, that is wanted.
        wanted: u64,
    },
    /// Past its expiry: a freeze, or a repository that nobody tends.
    #[error("{role} metadata expired at {expires}; publish a new version, or check this host's clock")]
    Expired {
        /// Which document.
        role: String,
        /// When it expired.
        expires: Timestamp,
    },
    /// Other bytes than the delegating metadata promised.
    #[error("{role} metadata are not the promised file")]
    Mismatch {
        /// Which document.
        role: String,
        /// How they differ.
        #[source]
        source: Mismatch,
    },
    /// A role that snapshot or a delegation does not name.
    #[error("the role '{0}' is not in the trusted metadata")]
    UnknownRole(String),
    /// A step of the workflow before its turn.
    #[error("{0} metadata must be loaded first")]
    OutOfOrder(&'static str),
    /// More targets roles than one search may visit.
    #[error("the search for a target visited {0} roles without an end; simplify the delegations")]
    TooManyVisits(u32),
    /// A private key that can not be used.
    #[error("the signing key can not be used: {0}; an Ed25519 key in PKCS#8 is wanted")]
    SigningKey(String),
    /// A signature by a key that the role does not list, or that does not fit the document.
    #[error("the signature of key {0} does not fit this document")]
    BadSignature(KeyId),
}

impl Error {
    /// Whether the document is older than what is trusted, expired, or otherwise a sign of an attack rather than of a
    /// broken repository.
    pub fn is_attack_sign(&self) -> bool {
        matches!(
            self,
            Self::Threshold { .. } | Self::Version { .. } | Self::Expired { .. } | Self::Mismatch { .. }
        )
    }

    pub(super) fn rule(role: &str, broken: impl Into<String>) -> Self {
        Self::Rule {
            role: role.to_owned(),
            rule: broken.into(),
        }
    }
}
