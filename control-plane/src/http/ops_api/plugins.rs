//! `/api/ops/plugins`: what is where, and how it is doing.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId, Product};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::write::{IdempotencyKey, actor, id_in_path, once_key};
use crate::{
    http::{
        ApiError, AppState, JsonBody,
        auth::Caller,
        openapi::{Absent, Conflict},
    },
    service::plugin::{PluginStored, add_plugin},
    store::{
        self,
        plugin::{NewPlugin, Plugin},
    },
};

/// The platforms that the reference system names.
pub(super) const PLATFORMS: [&str; 8] = [
    "woocommerce",
    "shopify",
    "magento",
    "prestashop",
    "wix",
    "node",
    "php",
    "python",
];

/// A plugin as people see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PluginShown {
    id: PluginId,
    merchant_id: MerchantId,
    product: Option<String>,
    cms: String,
    plugin_version: String,
    status: String,
    agent_managed: bool,
    capabilities: Vec<String>,
    last_heartbeat: Option<Timestamp>,
    error_count_24h: i32,
    telemetry: Value,
    created_at: Timestamp,
}

impl From<Plugin> for PluginShown {
    fn from(plugin: Plugin) -> Self {
        Self {
            id: plugin.id,
            merchant_id: plugin.merchant_id,
            product: plugin.product,
            cms: plugin.cms,
            plugin_version: plugin.plugin_version,
            status: plugin.status,
            agent_managed: plugin.agent_managed,
            capabilities: plugin.capabilities,
            last_heartbeat: plugin.last_heartbeat,
            error_count_24h: plugin.error_count_24h,
            telemetry: plugin.telemetry,
            created_at: plugin.created_at,
        }
    }
}

/// `GET /api/ops/plugins/{id}`.
#[utoipa::path(
    get,
    path = "/api/ops/plugins/{id}",
    tag = "plugins",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "The plugin.", body = PluginShown))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<PluginShown>, ApiError> {
    let id = id_in_path(&id, "plugin")?;
    let plugin = store::plugin::find(&state.db, id)
        .await?
        .filter(|plugin| caller.scope.covers(plugin.merchant_id))
        .ok_or_else(|| ApiError::not_found("unknown_plugin", "There is no such plugin"))?;
    Ok(Json(plugin.into()))
}

/// A plugin without agent, to be stored.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginWanted {
    merchant_id: MerchantId,
    cms: String,
    #[serde(default)]
    product: Option<Product>,
    #[serde(default)]
    plugin_version: Option<String>,
    #[serde(default)]
    id: Option<PluginId>,
}

/// `POST /api/ops/plugins`: a plugin without agent. One with an agent comes by its enrolment.
#[utoipa::path(
    post,
    path = "/api/ops/plugins",
    tag = "plugins",
    params(IdempotencyKey),
    request_body = PluginWanted,
    responses((status = 201, description = "The plugin is stored.", body = PluginStored), Absent, Conflict)
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(wanted): JsonBody<PluginWanted>,
) -> Result<(StatusCode, Json<PluginStored>), ApiError> {
    if !PLATFORMS.contains(&wanted.cms.as_str()) {
        return Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail(format!("cms is one of {}", PLATFORMS.join(", "))));
    }
    let key = once_key(&headers, &caller, "POST plugins", &wanted)?;
    let now = state.clock.now();
    let id = match wanted.id {
        Some(id) => id,
        None => PluginId::from_parts(now, state.entropy.bytes()?),
    };
    let plugin = NewPlugin {
        id,
        merchant_id: wanted.merchant_id,
        product: wanted.product,
        cms: wanted.cms,
        plugin_version: wanted.plugin_version.unwrap_or_else(|| "unknown".to_owned()),
        agent_managed: false,
        capabilities: Vec::new(),
    };
    let stored = add_plugin(&state.db, &actor(&caller), &plugin, key.as_ref(), now).await?;
    Ok((StatusCode::CREATED, Json(stored)))
}
