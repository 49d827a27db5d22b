//! `POST /api/ops/enrolment-tokens`: a one-time token for an agent, shown once.

use axum::{Json, extract::State, http::StatusCode};
use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::{Digest, MerchantId, PluginId, Product};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::write::actor;
use crate::{
    http::{ApiError, AppState, JsonBody, auth::Caller, openapi::Absent},
    service::enrolment_token::{self, DEFAULT_TTL, TokenOrder, TokenOrderError},
};

/// What the token shall be good for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    merchant_id: MerchantId,
    product: Product,
    cms: String,
    /// The plugin to enrol anew (after a fence, a revocation, or for an agent in place of a plugin secret).
    #[serde(default)]
    plugin_id: Option<PluginId>,
    /// Seconds; a day unless told otherwise, 30 days at most.
    #[serde(default)]
    ttl_s: Option<i64>,
}

/// The token.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenAnswer {
    token: String,
    token_id: Uuid,
    expires_at: Timestamp,
    /// What the agent may pin the gateway by at first contact.
    ca_sha256: Digest,
}

/// Makes a token. No `Idempotency-Key` here: that would keep the token; a lost one expires unspent.
#[utoipa::path(
    post,
    path = "/api/ops/enrolment-tokens",
    tag = "enrolment-tokens",
    request_body = NewToken,
    responses((status = 201, description = "The token, shown this once.", body = TokenAnswer), Absent)
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<(StatusCode, Json<TokenAnswer>), ApiError> {
    let order = TokenOrder {
        merchant_id: new.merchant_id,
        product: new.product,
        cms: new.cms,
        plugin_id: new.plugin_id,
        ttl: new.ttl_s.map_or(DEFAULT_TTL, SignedDuration::from_secs),
    };
    let by = (&actor(&caller), caller.subject.as_str());
    let desk = &state.enrolment_tokens;
    let ca_sha256 = desk
        .ca_sha256
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("no CA was read at the start")))?;
    let made = enrolment_token::make(&state.db, &desk.hasher, &state.entropy, by, &order, state.clock.now()).await?;
    let answer = TokenAnswer {
        token: made.token,
        token_id: made.id,
        expires_at: made.expires_at,
        ca_sha256,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

fn invalid(detail: String) -> ApiError {
    ApiError::bad_request("invalid_field", "A field can not be read").detail(detail)
}

impl From<TokenOrderError> for ApiError {
    fn from(error: TokenOrderError) -> Self {
        match error {
            TokenOrderError::Ttl | TokenOrderError::Cms => invalid(error.to_string()),
            TokenOrderError::NoMerchant(_) => Self::not_found("unknown_merchant", "There is no such merchant"),
            TokenOrderError::NoPlugin { .. } => {
                Self::not_found("unknown_plugin", "There is no such plugin").detail(error.to_string())
            }
            TokenOrderError::Store(error) => error.into(),
            TokenOrderError::Entropy(error) => error.into(),
        }
    }
}
