//! The person behind a request; asking for one in a handler's signature is the authorisation.

use std::collections::BTreeSet;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use plugmend_shared::ids::MerchantId;

use super::Role;
use crate::http::{ApiError, AppState};

/// Somebody of ops: `pay_admin` or `compliance_ops`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Who.
    pub subject: String,
    /// Their roles.
    pub roles: BTreeSet<Role>,
    /// Their shop, when they are a merchant's.
    pub merchant_id: Option<MerchantId>,
}

/// Somebody who may change the fleet: `pay_admin`.
#[derive(Debug, Clone)]
pub struct PayAdmin(pub Operator);

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let state = AppState::from_ref(state);
        let token = bearer(&parts.headers)
            .ok_or_else(|| unauthorized().detail("send 'Authorization: Bearer <token>' with a token of Molam ID"))?;
        let operator = state
            .tokens
            .check(token, state.clock.now())
            .map_err(|error| unauthorized().detail(error.to_string()))?;
        if operator.roles.is_empty() {
            return Err(forbidden("pay_admin or compliance_ops"));
        }
        Ok(operator)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PayAdmin
where
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let operator = Operator::from_request_parts(parts, state).await?;
        if operator.roles.contains(&Role::PayAdmin) {
            Ok(Self(operator))
        } else {
            Err(forbidden("pay_admin"))
        }
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

fn unauthorized() -> ApiError {
    ApiError::problem(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Who you are could not be established",
    )
}

fn forbidden(wanted: &str) -> ApiError {
    ApiError::problem(StatusCode::FORBIDDEN, "forbidden", "Your roles do not allow this")
        .detail(format!("the role {wanted} is wanted"))
}
