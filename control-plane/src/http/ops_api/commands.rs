//! Orders of people: given, and looked at.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use jiff::Timestamp;
use plugmend_shared::ids::{CommandId, MerchantId, PluginId};
use serde::Serialize;
use serde_json::Value;

use super::write::{IdempotencyKey, actor, id_in_path, once_key};
use crate::{
    http::{ApiError, AppState, JsonBody, auth::Caller, openapi::Conflict},
    service::command::{GiveError, Given, NewOrder, give},
    store::{self, command::OrderView},
};

/// `POST /api/ops/plugins/{id}/commands`: 201 when the order is given, 202 when people are asked about it first.
#[utoipa::path(
    post,
    path = "/api/ops/plugins/{id}/commands",
    tag = "commands",
    params(("id" = Uuid, Path, description = "The plugin's id."), IdempotencyKey),
    request_body = NewOrder,
    responses(
        (status = 201, description = "The order was given.", body = Given),
        (status = 202, description = "People are asked about it first.", body = Given),
        Conflict
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Path(plugin_id): Path<String>,
    headers: HeaderMap,
    JsonBody(order): JsonBody<NewOrder>,
) -> Result<(StatusCode, Json<Given>), ApiError> {
    let plugin_id: PluginId = id_in_path(&plugin_id, "plugin")?;
    let key = once_key(&headers, &caller, &format!("POST plugins/{plugin_id}/commands"), &order)?;
    let now = state.clock.now();
    let id = CommandId::from_parts(now, state.entropy.bytes()?);
    let given = give(&state.db, &actor(&caller), plugin_id, order, key.as_ref(), id, now).await?;
    // Other replicas hear of it through the database; this one need not wait for that.
    state.polls.waiters().wake(plugin_id);
    let status = if given.approval_id.is_some() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(given)))
}

/// An order as people see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CommandShown {
    id: CommandId,
    plugin_id: PluginId,
    merchant_id: MerchantId,
    #[serde(rename = "type")]
    kind: String,
    payload: Value,
    status: String,
    generation: Option<i64>,
    progress: Option<Value>,
    response: Option<Value>,
    error_message: Option<String>,
    retry_count: i32,
    max_retries: i32,
    next_retry_at: Option<Timestamp>,
    created_by: Option<String>,
    created_at: Timestamp,
    sent_at: Option<Timestamp>,
    acknowledged_at: Option<Timestamp>,
    executing_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl From<OrderView> for CommandShown {
    fn from(order: OrderView) -> Self {
        let time = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            id: CommandId(order.id),
            plugin_id: PluginId(order.merchant_plugin_id),
            merchant_id: MerchantId(order.merchant_id),
            kind: order.command_type,
            payload: order.command_payload,
            status: order.status,
            generation: order.generation,
            progress: order.progress,
            response: order.response,
            error_message: order.error_message,
            retry_count: order.retry_count.unwrap_or(0),
            max_retries: order.max_retries.unwrap_or(0),
            next_retry_at: time(order.next_retry_at),
            created_by: order.created_by,
            created_at: order.created_at.to_jiff(),
            sent_at: time(order.sent_at),
            acknowledged_at: time(order.acknowledged_at),
            executing_at: time(order.executing_at),
            completed_at: time(order.completed_at),
            expires_at: time(order.expires_at),
        }
    }
}

/// `GET /api/ops/commands/{id}`.
#[utoipa::path(
    get,
    path = "/api/ops/commands/{id}",
    tag = "commands",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "The order.", body = CommandShown))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<CommandShown>, ApiError> {
    let id = id_in_path(&id, "command")?;
    let order = store::command::view(&state.db, id)
        .await?
        .filter(|order| caller.scope.covers(MerchantId(order.merchant_id)))
        .ok_or_else(|| ApiError::not_found("unknown_command", "There is no such command"))?;
    Ok(Json(order.into()))
}

impl From<GiveError> for ApiError {
    fn from(error: GiveError) -> Self {
        let words = error.to_string();
        match error {
            GiveError::UnknownPlugin => Self::not_found("unknown_plugin", "There is no such plugin"),
            GiveError::Incapable(_) => Self::conflict("capability_missing", "The plugin can not do this").detail(words),
            GiveError::Malformed(_) => {
                Self::bad_request("invalid_command", "The command can not be given").detail(words)
            }
            GiveError::NoRelease(_) => {
                Self::conflict("release_not_available", "The release can not be installed").detail(words)
            }
            GiveError::Once(error) => error.into(),
        }
    }
}
