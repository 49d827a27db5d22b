//! `GET /api/ops/plugins`: what is where, and how it is doing.

use axum::{Json, extract::State};
use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{known, one_more, page, search, short};
use crate::{
    domain::page::cut,
    http::{ApiError, AppState, QueryParams, auth::Caller, ops_api::plugins::PLATFORMS},
    store::lists::{self, Meant, PluginFilter, PluginSummary},
};

const STATUSES: [&str; 5] = ["active", "disabled", "error", "pending_update", "blocked"];
const HEALTH: [&str; 7] = ["healthy", "ill", "recovering", "changing", "silent", "unknown", "off"];

/// Which plugins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PluginQuery {
    /// Of this merchant.
    merchant_id: Option<MerchantId>,
    /// On this platform.
    cms: Option<String>,
    /// Of this product.
    product: Option<String>,
    /// In this version.
    version: Option<String>,
    /// `active`, `disabled`, `error`, `pending_update` or `blocked`.
    status: Option<String>,
    /// `healthy`, `ill` (an incident is open), `recovering` (a cure is watched), `changing`, `silent`, `unknown` (never heard)
    /// or `off`.
    health: Option<String>,
    /// The beginning of a plugin's or a merchant's id, of a product, or of words of the merchant's name.
    q: Option<String>,
    /// The `next` of the page before.
    after: Option<PluginId>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
}

/// A plugin as lists show it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PluginListed {
    id: PluginId,
    merchant_id: MerchantId,
    merchant_name: String,
    product: Option<String>,
    cms: String,
    plugin_version: String,
    status: String,
    health: String,
    open_incidents: i64,
    agent_managed: bool,
    capabilities: Vec<String>,
    last_heartbeat: Option<Timestamp>,
    error_count_24h: i32,
    telemetry: Value,
    created_at: Timestamp,
}

impl From<PluginSummary> for PluginListed {
    fn from(plugin: PluginSummary) -> Self {
        Self {
            id: plugin.id.into(),
            merchant_id: plugin.merchant_id.into(),
            merchant_name: plugin.merchant_name,
            product: plugin.product,
            cms: plugin.cms,
            plugin_version: plugin.plugin_version,
            status: plugin.status,
            health: plugin.health,
            open_incidents: plugin.open_incidents,
            agent_managed: plugin.agent_managed,
            capabilities: plugin.capabilities,
            last_heartbeat: plugin.last_heartbeat.map(jiff_sqlx::Timestamp::to_jiff),
            error_count_24h: plugin.error_count_24h.unwrap_or(0),
            telemetry: plugin.telemetry.unwrap_or(Value::Null),
            created_at: plugin.created_at.to_jiff(),
        }
    }
}

/// A page of plugins, by id.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PluginList {
    plugins: Vec<PluginListed>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<PluginId>,
}

/// `GET /api/ops/plugins`.
#[utoipa::path(
    get,
    path = "/api/ops/plugins",
    tag = "plugins",
    params(PluginQuery),
    responses((status = 200, description = "Plugins, by id.", body = PluginList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<PluginQuery>,
) -> Result<Json<PluginList>, ApiError> {
    known(query.cms.as_deref(), "cms", |word| PLATFORMS.contains(&word))?;
    known(query.status.as_deref(), "status", |word| STATUSES.contains(&word))?;
    known(query.health.as_deref(), "health", |word| HEALTH.contains(&word))?;
    short(query.product.as_deref(), "product")?;
    short(query.version.as_deref(), "version")?;
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let meant = search(&state, query.q.as_deref(), merchant_id).await?;
    if meant.as_ref().is_some_and(Meant::is_nothing) {
        return Ok(Json(PluginList {
            plugins: Vec::new(),
            next: None,
        }));
    }
    let filter = PluginFilter {
        merchant_id,
        cms: query.cms,
        product: query.product,
        version: query.version,
        status: query.status,
        health: query.health,
        meant,
        after: query.after,
        limit: one_more(limit),
    };
    let mut found = lists::plugins(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| PluginId(last.id));
    Ok(Json(PluginList {
        plugins: found.into_iter().map(PluginListed::from).collect(),
        next,
    }))
}
