//! The person behind a request, as the guard let them in.

use std::collections::BTreeSet;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use plugmend_shared::ids::MerchantId;

use super::Role;
use crate::http::ApiError;

/// Somebody whom the endpoint's row in the [table](super::table) lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub subject: String,
    /// Those of their roles that count here.
    pub roles: BTreeSet<Role>,
    /// How far they see here.
    pub scope: Scope,
}

/// How far a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Fleet,
    /// What is this merchant's. Everything else is not there for them: 404, never 403.
    Merchant(MerchantId),
}

impl Scope {
    /// The only merchant they see; none when they see all. Lists hand it to their queries.
    pub fn only(self) -> Option<MerchantId> {
        match self {
            Self::Fleet => None,
            Self::Merchant(id) => Some(id),
        }
    }

    /// Whether they see what is this merchant's.
    pub fn covers(self, merchant_id: MerchantId) -> bool {
        self.only().is_none_or(|own| own == merchant_id)
    }

    /// The only merchant that a list shall be about, given what its query string asks for.
    ///
    /// # Errors
    /// 404 when another merchant's is asked for than their own.
    pub fn narrow(self, asked: Option<MerchantId>) -> Result<Option<MerchantId>, ApiError> {
        match (self, asked) {
            (Self::Merchant(own), Some(other)) if own != other => {
                Err(ApiError::not_found("unknown_merchant", "There is no such merchant"))
            }
            (Self::Merchant(own), _) => Ok(Some(own)),
            (Self::Fleet, asked) => Ok(asked),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| {
            ApiError::internal(anyhow::anyhow!(
                "{} asks for a caller, and its row lets people in without one",
                parts.uri.path()
            ))
        })
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merchants_caller_sees_their_own_and_nothing_else() {
        let merchant = |n: u128| MerchantId(uuid::Uuid::from_u128(n));
        let own = Scope::Merchant(merchant(1));
        assert!(own.covers(merchant(1)) && !own.covers(merchant(2)));
        assert_eq!(own.narrow(None).unwrap(), Some(merchant(1)));
        assert_eq!(own.narrow(Some(merchant(1))).unwrap(), Some(merchant(1)));
        assert!(own.narrow(Some(merchant(2))).is_err());
        assert_eq!(Scope::Fleet.narrow(Some(merchant(2))).unwrap(), Some(merchant(2)));
        assert_eq!(Scope::Fleet.narrow(None).unwrap(), None);
    }
}
