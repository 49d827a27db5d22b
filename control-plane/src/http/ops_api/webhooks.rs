//! Webhooks: receivers, their deliveries, and sending again.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::write::{actor, id_in_path};
use crate::{
    http::{
        ApiError, AppState, JsonBody, QueryParams,
        auth::Caller,
        openapi::{Absent, Conflict},
    },
    service::webhook::{self, By, Dead, WebhookError, WebhookOrder},
    store::{self, delivery::DeliveryView, webhook::WebhookView},
};

/// A receiver to be stored.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    merchant_id: Option<MerchantId>,
    event_type: String,
    url: String,
    failover_url: Option<String>,
    retry_config: Option<Value>,
}

/// A receiver that was stored. No `Debug`: it holds the secret.
#[derive(Serialize, utoipa::ToSchema)]
pub struct WebhookMade {
    id: Uuid,
    /// Signs what is sent to it; shown this once.
    secret: String,
}

/// `POST /api/ops/webhooks`: the secret is in the answer and nowhere else. No `Idempotency-Key`: that would keep it.
#[utoipa::path(
    post,
    path = "/api/ops/webhooks",
    tag = "webhooks",
    request_body = NewWebhook,
    responses((status = 201, description = "The receiver and its secret, shown this once.", body = WebhookMade), Absent, Conflict)
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(new): JsonBody<NewWebhook>,
) -> Result<(StatusCode, Json<WebhookMade>), ApiError> {
    let order = WebhookOrder {
        merchant_id: new.merchant_id,
        event_type: new.event_type,
        url: new.url,
        failover_url: new.failover_url,
        retry_config: new.retry_config.unwrap_or_else(|| json!({})),
    };
    let now = state.clock.now();
    let who = actor(&caller);
    let (id, secret) = state.webhooks.add(&state.db, &who, order, &state.entropy, now).await?;
    Ok((
        StatusCode::CREATED,
        Json(WebhookMade {
            id,
            secret: secret.to_string(),
        }),
    ))
}

/// What to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    merchant_id: Option<MerchantId>,
    after: Option<Uuid>,
    limit: Option<i64>,
}

/// One page of receivers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Webhooks {
    webhooks: Vec<WebhookView>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// `GET /api/ops/webhooks`.
#[utoipa::path(
    get,
    path = "/api/ops/webhooks",
    tag = "webhooks",
    params(ListQuery),
    responses((status = 200, description = "One page.", body = Webhooks))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Webhooks>, ApiError> {
    let limit = query.limit.unwrap_or(200).clamp(1, 1000);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let webhooks = store::webhook::list(&state.db, merchant_id, query.after, limit).await?;
    let more = i64::try_from(webhooks.len()).is_ok_and(|n| n == limit);
    let next = webhooks.last().filter(|_| more).map(|last| last.id);
    Ok(Json(Webhooks { webhooks, next }))
}

/// Who acts, and whose receivers they see.
fn owner(caller: &Caller) -> By {
    By {
        who: actor(caller),
        only: caller.scope.only(),
    }
}

/// On or off.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    active: bool,
}

/// How a receiver stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Switched {
    id: Uuid,
    active: bool,
}

/// `POST /api/ops/webhooks/{id}/active`.
#[utoipa::path(
    post,
    path = "/api/ops/webhooks/{id}/active",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = Switch,
    responses((status = 200, description = "How it stands then.", body = Switched))
)]
pub async fn set_active(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(switch): JsonBody<Switch>,
) -> Result<Json<Switched>, ApiError> {
    let id: Uuid = id_in_path(&id, "webhook")?;
    let now = state.clock.now();
    webhook::set_active(&state.db, &owner(&caller), id, switch.active, now).await?;
    Ok(Json(Switched {
        id,
        active: switch.active,
    }))
}

/// What goes out again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Replayed {
    /// How many deliveries.
    deliveries: u64,
}

/// `POST /api/ops/webhooks/{id}/replay`: everything that was given up on.
#[utoipa::path(
    post,
    path = "/api/ops/webhooks/{id}/replay",
    tag = "webhooks",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "How many go out again.", body = Replayed))
)]
pub async fn replay_all(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, ApiError> {
    let id: Uuid = id_in_path(&id, "webhook")?;
    let now = state.clock.now();
    let revived = webhook::replay(&state.db, &owner(&caller), Dead::Of(id), now).await?;
    Ok(Json(Replayed { deliveries: revived }))
}

/// `POST /api/ops/webhook-deliveries/{id}/replay`.
#[utoipa::path(
    post,
    path = "/api/ops/webhook-deliveries/{id}/replay",
    tag = "webhook-deliveries",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "How many go out again.", body = Replayed))
)]
pub async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, ApiError> {
    let id: Uuid = id_in_path(&id, "delivery")?;
    let now = state.clock.now();
    let revived = webhook::replay(&state.db, &owner(&caller), Dead::One(id), now).await?;
    Ok(Json(Replayed { deliveries: revived }))
}

/// What to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    webhook_id: Option<Uuid>,
    status: Option<String>,
    /// Those made before this moment.
    after: Option<Timestamp>,
    limit: Option<i64>,
}

/// One page of deliveries, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Deliveries {
    deliveries: Vec<DeliveryView>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
}

/// `GET /api/ops/webhook-deliveries`; `status=dead` is the list of dead letters.
#[utoipa::path(
    get,
    path = "/api/ops/webhook-deliveries",
    tag = "webhook-deliveries",
    params(DeliveryQuery),
    responses((status = 200, description = "One page.", body = Deliveries))
)]
pub async fn deliveries(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<DeliveryQuery>,
) -> Result<Json<Deliveries>, ApiError> {
    let limit = query.limit.unwrap_or(200).clamp(1, 1000);
    let status = query.status.as_deref();
    let filter = (caller.scope.only(), query.webhook_id, status);
    let deliveries = store::delivery::list(&state.db, filter, query.after, limit).await?;
    let more = i64::try_from(deliveries.len()).is_ok_and(|n| n == limit);
    let next = deliveries.last().filter(|_| more).map(|last| last.created_at);
    Ok(Json(Deliveries { deliveries, next }))
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Malformed(why) => Self::bad_request("invalid_field", "A field can not be read").detail(why),
            WebhookError::Unknown(what) => {
                Self::not_found(&format!("unknown_{what}"), &format!("There is no such {what}"))
            }
            WebhookError::Taken => Self::conflict("already_exists", "The same events go to this address already"),
            WebhookError::Store(error) => error.into(),
            error @ WebhookError::Secret(_) => Self::internal(error),
        }
    }
}
