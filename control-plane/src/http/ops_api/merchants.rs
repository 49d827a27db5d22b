//! `POST /api/ops/merchants`.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};

use super::write::{actor, once_key};
use crate::{
    http::{ApiError, AppState, JsonBody, auth::PayAdmin},
    service::plugin::{MerchantStored, PluginError, add_merchant},
};

/// The longest name, in bytes.
const MAX_NAME: usize = 200;

/// A merchant to be stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMerchant {
    /// Its name.
    name: String,
    /// Its id elsewhere, when it has one; else one is made.
    #[serde(default)]
    id: Option<MerchantId>,
}

/// Stores a merchant.
pub async fn create(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewMerchant>,
) -> Result<(StatusCode, Json<MerchantStored>), ApiError> {
    let name = new.name.trim();
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail(format!("name is 1 to {MAX_NAME} bytes")));
    }
    let key = once_key(&headers, &operator, "POST merchants", &new)?;
    let now = state.clock.now();
    let id = match new.id {
        Some(id) => id,
        None => MerchantId::from_parts(now, state.entropy.bytes()?),
    };
    let merchant = MerchantStored {
        id,
        name: name.to_owned(),
    };
    let stored = add_merchant(&state.db, &actor(&operator), merchant, key.as_ref(), now).await?;
    Ok((StatusCode::CREATED, Json(stored)))
}

impl From<PluginError> for ApiError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::UnknownPlugin => Self::not_found("unknown_plugin", "There is no such plugin"),
            PluginError::UnknownMerchant => Self::not_found("unknown_merchant", "There is no such merchant"),
            PluginError::AgentManaged => {
                Self::conflict("agent_managed", "An agent looks after this plugin").detail(error.to_string())
            }
            PluginError::Taken => Self::conflict("already_exists", "The id is taken"),
            PluginError::Once(error) => error.into(),
        }
    }
}
