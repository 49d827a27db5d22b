//! Tokens of Molam ID: checked whole, with the time as an argument.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use plugmend_shared::ids::MerchantId;
use serde::Deserialize;
use thiserror::Error;

use super::{Role, provider};

/// Who issues the tokens.
pub const ISSUER: &str = "molam-id";
/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// How far the issuer's clock may differ from ours, in seconds.
const LEEWAY_S: f64 = 30.0;

/// Why a token is not taken. The bearer is told no more than the words here.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// The key is not one that can check tokens.
    #[error("not a public key: the PEM of an RSA key (2048 bits or more) or an Ed25519 key is wanted")]
    BadKey,
    /// Too long to be looked at.
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// Not a token, not signed by our key, or by another issuer.
    #[error("the token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; check the clocks")]
    NotYet,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub subject: String,
    /// Their roles.
    pub roles: BTreeSet<Role>,
    /// Their shop, when they look after one.
    pub merchant_id: Option<MerchantId>,
}

/// Checks tokens against one key.
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    roles: Vec<String>,
    merchant_id: Option<MerchantId>,
}

impl TokenVerifier {
    /// A verifier for the key in `pem`. The key decides the algorithm; what a token's header says must agree.
    ///
    /// # Errors
    /// When it is neither an RSA nor an Ed25519 public key.
    pub fn from_pem(pem: &str) -> Result<Self, TokenError> {
        provider::install();
        let (algorithm, key) = match DecodingKey::from_ed_pem(pem.as_bytes()) {
            Ok(key) => (Algorithm::EdDSA, key),
            Err(_) => (
                Algorithm::RS256,
                DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| TokenError::BadKey)?,
            ),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims = HashSet::from(["exp", "iss", "sub"].map(str::to_owned));
        // The time is ours to check, by the clock we are given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self { key, validation })
    }

    /// Who the token speaks for, at the moment `now`.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Person, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        let now = now.as_duration().as_secs_f64();
        if !claims.exp.is_finite() || now > claims.exp + LEEWAY_S {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| !nbf.is_finite() || now + LEEWAY_S < nbf) {
            return Err(TokenError::NotYet);
        }
        let roles: BTreeSet<Role> = claims.roles.iter().filter_map(|name| Role::from_name(name)).collect();
        Ok(Person {
            subject: claims.sub,
            roles,
            merchant_id: claims.merchant_id,
        })
    }
}
