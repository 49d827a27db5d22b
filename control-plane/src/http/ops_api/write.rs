//! What writes of people have in common.

use axum::http::HeaderMap;
use serde::Serialize;

use crate::{
    http::{ApiError, auth::Caller},
    service::once::{MAX_KEY, OnceError, OnceKey},
    store::audit::Actor,
};

/// A write with this header is done once, however often it is sent within a day.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header that `once_key` reads")]
pub struct IdempotencyKey {
    /// Chosen by the sender, anew for each thing to be done.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 128)]
    key: Option<String>,
}

/// Who acts, for the audit trail.
pub fn actor(caller: &Caller) -> Actor {
    Actor::Ops(caller.subject.clone())
}

/// The request's `Idempotency-Key`, if it carries one.
///
/// # Errors
/// 400 when the key is empty, too long or not plain.
pub fn once_key(
    headers: &HeaderMap,
    caller: &Caller,
    endpoint: &str,
    request: &impl Serialize,
) -> Result<Option<OnceKey>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= MAX_KEY)
        .ok_or_else(|| {
            ApiError::bad_request("invalid_idempotency_key", "The Idempotency-Key can not be used")
                .detail(format!("1 to {MAX_KEY} printable characters are taken"))
        })?;
    Ok(Some(OnceKey::new(&caller.subject, key, endpoint, request)))
}

/// Reads an id out of a path; what is no id names nothing.
pub fn id_in_path<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|_| ApiError::not_found(&format!("unknown_{what}"), &format!("There is no such {what}")))
}

impl From<OnceError> for ApiError {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Reused => Self::conflict("idempotency_key_reused", "The Idempotency-Key was used before")
                .detail(error.to_string()),
            OnceError::Store(error) => error.into(),
        }
    }
}
