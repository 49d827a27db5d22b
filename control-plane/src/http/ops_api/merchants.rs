//! `/api/ops/merchants`: who they are, and what they want of automatic changes.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Deserializer, Serialize};

use super::write::{IdempotencyKey, actor, id_in_path, once_key};
use crate::{
    domain::policy::MaintenanceWindow,
    http::{ApiError, AppState, JsonBody, QueryParams, auth::Caller, openapi::Conflict},
    service::{
        merchant::{self, Wishes, WishesError},
        plugin::{MerchantStored, PluginError, add_merchant},
    },
    store::{self, merchant::MerchantView},
};

/// The longest name, in bytes.
const MAX_NAME: usize = 200;
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 500;

/// A merchant to be stored.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerchant {
    /// Its name.
    name: String,
    /// Its id elsewhere, when it has one; else one is made.
    #[serde(default)]
    id: Option<MerchantId>,
}

/// Stores a merchant.
#[utoipa::path(
    post,
    path = "/api/ops/merchants",
    tag = "merchants",
    params(IdempotencyKey),
    request_body = NewMerchant,
    responses((status = 201, description = "The merchant is stored.", body = MerchantStored), Conflict)
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewMerchant>,
) -> Result<(StatusCode, Json<MerchantStored>), ApiError> {
    let name = new.name.trim();
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail(format!("name is 1 to {MAX_NAME} bytes")));
    }
    let key = once_key(&headers, &caller, "POST merchants", &new)?;
    let now = state.clock.now();
    let id = match new.id {
        Some(id) => id,
        None => MerchantId::from_parts(now, state.entropy.bytes()?),
    };
    let merchant = MerchantStored {
        id,
        name: name.to_owned(),
    };
    let stored = add_merchant(&state.db, &actor(&caller), merchant, key.as_ref(), now).await?;
    Ok((StatusCode::CREATED, Json(stored)))
}

/// Which part of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The `next` of the page before.
    after: Option<MerchantId>,
    limit: Option<u16>,
}

/// One page of merchants.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Merchants {
    merchants: Vec<MerchantView>,
    /// Give it as `after` to have the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<MerchantId>,
}

/// `GET /api/ops/merchants?after&limit`.
#[utoipa::path(
    get,
    path = "/api/ops/merchants",
    tag = "merchants",
    params(Page),
    responses((status = 200, description = "One page.", body = Merchants))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(page): QueryParams<Page>,
) -> Result<Json<Merchants>, ApiError> {
    let limit = usize::from(page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE));
    let merchants = store::merchant::list(
        &state.db,
        caller.scope.only(),
        page.after,
        i64::try_from(limit).unwrap_or(1),
    )
    .await?;
    let next = merchants
        .last()
        .filter(|_| merchants.len() == limit)
        .map(|last| last.id);
    Ok(Json(Merchants { merchants, next }))
}

/// `GET /api/ops/merchants/{id}`.
#[utoipa::path(
    get,
    path = "/api/ops/merchants/{id}",
    tag = "merchants",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "The merchant.", body = MerchantView))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MerchantView>, ApiError> {
    let id: MerchantId = id_in_path(&id, "merchant")?;
    if !caller.scope.covers(id) {
        return Err(WishesError::UnknownMerchant.into());
    }
    let found = store::merchant::list(&state.db, Some(id), None, 1).await?.pop();
    found.map(Json).ok_or_else(|| WishesError::UnknownMerchant.into())
}

/// What a merchant wants from now on; what is not named stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWishes {
    /// No automatic changes at all.
    #[serde(default)]
    opt_out: Option<bool>,
    /// When they may be made; null: at any time.
    #[serde(default, deserialize_with = "named")]
    #[expect(clippy::option_option, reason = "null and absent are two things")]
    #[schema(value_type = Option<MaintenanceWindow>)]
    maintenance_window: Option<Option<MaintenanceWindow>>,
}

/// Tells null from absent.
#[expect(clippy::option_option, reason = "null and absent are two things")]
fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<MaintenanceWindow>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// `POST /api/ops/merchants/{id}/wishes`.
#[utoipa::path(
    post,
    path = "/api/ops/merchants/{id}/wishes",
    tag = "merchants",
    params(("id" = Uuid, Path, description = "Its id."), IdempotencyKey),
    request_body = NewWishes,
    responses((status = 200, description = "The merchant, as it stands then.", body = MerchantView), Conflict)
)]
pub async fn wish(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(new): JsonBody<NewWishes>,
) -> Result<Json<MerchantView>, ApiError> {
    let id: MerchantId = id_in_path(&id, "merchant")?;
    if !caller.scope.covers(id) {
        return Err(WishesError::UnknownMerchant.into());
    }
    if new.opt_out.is_none() && new.maintenance_window.is_none() {
        return Err(ApiError::bad_request("missing_required_fields", "Nothing is wished")
            .detail("say opt_out, maintenance_window, or both"));
    }
    let key = once_key(&headers, &caller, &format!("POST merchants/{id}/wishes"), &new)?;
    let wishes = Wishes {
        opt_out: new.opt_out,
        maintenance_window: new.maintenance_window,
    };
    let now = state.clock.now();
    let stored = merchant::wish(&state.db, &actor(&caller), id, &wishes, key.as_ref(), now).await?;
    Ok(Json(stored))
}

impl From<WishesError> for ApiError {
    fn from(error: WishesError) -> Self {
        match error {
            WishesError::UnknownMerchant => Self::not_found("unknown_merchant", "There is no such merchant"),
            WishesError::Window(why) => {
                Self::bad_request("invalid_field", "A field can not be read").detail(why.to_string())
            }
            WishesError::Once(error) => error.into(),
        }
    }
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
