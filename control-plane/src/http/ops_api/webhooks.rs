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
        auth::{Operator, PayAdmin},
    },
    service::webhook::{self, WebhookError, WebhookOrder},
    store::{self, delivery::DeliveryView, webhook::WebhookView},
};

/// A receiver to be stored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    merchant_id: Option<MerchantId>,
    event_type: String,
    url: String,
    failover_url: Option<String>,
    retry_config: Option<Value>,
}

/// `POST /api/ops/webhooks`: the secret is in the answer and nowhere else. No `Idempotency-Key`: that would keep it.
pub async fn create(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
    JsonBody(new): JsonBody<NewWebhook>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let order = WebhookOrder {
        merchant_id: new.merchant_id,
        event_type: new.event_type,
        url: new.url,
        failover_url: new.failover_url,
        retry_config: new.retry_config.unwrap_or_else(|| json!({})),
    };
    let now = state.clock.now();
    let who = actor(&operator);
    let (id, secret) = state.webhooks.add(&state.db, &who, order, &state.entropy, now).await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({ "id": id, "secret": secret.as_str() })),
    ))
}

/// What to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    merchant_id: Option<MerchantId>,
    after: Option<Uuid>,
    limit: Option<i64>,
}

/// One page of receivers.
#[derive(Debug, Serialize)]
pub struct Webhooks {
    webhooks: Vec<WebhookView>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// `GET /api/ops/webhooks`.
pub async fn list(
    State(state): State<AppState>,
    _operator: Operator,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Webhooks>, ApiError> {
    let limit = query.limit.unwrap_or(200).clamp(1, 1000);
    let webhooks = store::webhook::list(&state.db, query.merchant_id, query.after, limit).await?;
    let more = i64::try_from(webhooks.len()).is_ok_and(|n| n == limit);
    let next = webhooks.last().filter(|_| more).map(|last| last.id);
    Ok(Json(Webhooks { webhooks, next }))
}

/// On or off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    active: bool,
}

/// `POST /api/ops/webhooks/{id}/active`.
pub async fn set_active(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
    Path(id): Path<String>,
    JsonBody(switch): JsonBody<Switch>,
) -> Result<Json<Value>, ApiError> {
    let id: Uuid = id_in_path(&id, "webhook")?;
    let now = state.clock.now();
    webhook::set_active(&state.db, &actor(&operator), id, switch.active, now).await?;
    Ok(Json(json!({ "id": id, "active": switch.active })))
}

/// `POST /api/ops/webhooks/{id}/replay`: everything that was given up on.
pub async fn replay_all(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id: Uuid = id_in_path(&id, "webhook")?;
    let now = state.clock.now();
    let revived = webhook::replay(&state.db, &actor(&operator), Some(id), None, now).await?;
    Ok(Json(json!({ "deliveries": revived })))
}

/// `POST /api/ops/webhook-deliveries/{id}/replay`.
pub async fn replay(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id: Uuid = id_in_path(&id, "delivery")?;
    let now = state.clock.now();
    let revived = webhook::replay(&state.db, &actor(&operator), None, Some(id), now).await?;
    Ok(Json(json!({ "deliveries": revived })))
}

/// What to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryQuery {
    webhook_id: Option<Uuid>,
    status: Option<String>,
    /// Those made before this moment.
    after: Option<Timestamp>,
    limit: Option<i64>,
}

/// One page of deliveries, newest first.
#[derive(Debug, Serialize)]
pub struct Deliveries {
    deliveries: Vec<DeliveryView>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
}

/// `GET /api/ops/webhook-deliveries`; `status=dead` is the list of dead letters.
pub async fn deliveries(
    State(state): State<AppState>,
    _operator: Operator,
    QueryParams(query): QueryParams<DeliveryQuery>,
) -> Result<Json<Deliveries>, ApiError> {
    let limit = query.limit.unwrap_or(200).clamp(1, 1000);
    let status = query.status.as_deref();
    let deliveries = store::delivery::list(&state.db, query.webhook_id, status, query.after, limit).await?;
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
