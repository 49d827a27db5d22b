//! Tokens of Molam ID: checked whole, with the time as an argument.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation};
use plugmend_shared::ids::MerchantId;
use serde::Deserialize;
use thiserror::Error;

use super::{
    Role,
    jwks::Jwks,
    keys::{BadKey, Key},
    provider,
};

/// Who issues the tokens.
pub const ISSUER: &str = "molam-id";
/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// The longest name of a person, in bytes.
const MAX_SUBJECT: usize = 255;
/// How far the issuer's clock may differ from ours, in seconds.
const LEEWAY_S: f64 = 30.0;

/// Why a token is not taken. For our log: its bearer is told the same words whatever it is.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// Too long to be looked at.
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// Not a token at all.
    #[error("it is no token")]
    Malformed,
    /// No key of ours can check it.
    #[error("the token names a key or an algorithm that is not known")]
    UnknownKey,
    /// Not signed by that key, by another issuer, or for somebody else.
    #[error("the token's signature, issuer or audience is not the right one")]
    Invalid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
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

/// Checks tokens by a key that is given, by those that an issuer publishes, or both.
#[derive(Debug, Default)]
pub struct TokenVerifier {
    given: Option<Key>,
    published: Option<Arc<Jwks>>,
    audience: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(default)]
    roles: Vec<String>,
    merchant_id: Option<MerchantId>,
}

impl TokenVerifier {
    /// A verifier for the key in `pem`.
    ///
    /// # Errors
    /// When it is neither an RSA nor an Ed25519 public key.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        Ok(Self {
            given: Some(Key::from_pem(pem)?),
            ..Self::default()
        })
    }

    /// The same, which takes the keys that the issuer publishes as well.
    #[must_use]
    pub fn with_published(mut self, published: Arc<Jwks>) -> Self {
        self.published = Some(published);
        self
    }

    /// The same, which takes only tokens that are meant for this audience.
    #[must_use]
    pub fn for_audience(mut self, audience: String) -> Self {
        self.audience = Some(audience);
        self
    }

    /// Who the token speaks for, at the moment `now`.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub async fn check(&self, token: &str, now: Timestamp) -> Result<Person, TokenError> {
        provider::install();
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        // What we would have to understand, we do not (RFC 7515 section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key = self.key(&header, now).await.ok_or(TokenError::UnknownKey)?;
        let claims: Claims = jsonwebtoken::decode(token, &key.decoding, &self.validation(key.algorithm))
            .map_err(|_| TokenError::Invalid)?
            .claims;
        // It goes into the audit trail as it is.
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT || claims.sub.contains(char::is_control) {
            return Err(TokenError::Malformed);
        }
        in_time(&claims, now.as_duration().as_secs_f64())?;
        let roles = claims.roles.iter().filter_map(|name| Role::from_name(name));
        Ok(Person {
            roles: roles.collect(),
            subject: claims.sub,
            merchant_id: claims.merchant_id,
        })
    }

    /// The key that this header's token is checked by: a published one, or the one that was given, which has no name.
    async fn key(&self, header: &Header, now: Timestamp) -> Option<Key> {
        let given = self.given.as_ref().filter(|given| given.algorithm == header.alg);
        let names_key = header.kid.is_some();
        match (&self.published, given) {
            // No need to ask anybody for a key without a name.
            (_, Some(given)) if !names_key => Some(given.clone()),
            (Some(published), given) if is_ours(header.alg) => {
                let found = published.key(header.kid.as_deref(), header.alg, now).await;
                found.or_else(|| given.cloned())
            }
            (_, given) => given.cloned(),
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims = HashSet::from(["exp", "iss", "sub"].map(str::to_owned));
        // The time is ours to check, by the clock we are given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        validation
    }
}

fn is_ours(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::RS256 | Algorithm::EdDSA)
}

fn in_time(claims: &Claims, now: f64) -> Result<(), TokenError> {
    if !claims.exp.is_finite() || now > claims.exp + LEEWAY_S {
        return Err(TokenError::Expired);
    }
    let begins = [claims.nbf, claims.iat].into_iter().flatten();
    if begins.into_iter().any(|at| !at.is_finite() || now + LEEWAY_S < at) {
        return Err(TokenError::NotYet);
    }
    Ok(())
}
