//! `GET /api/ops/commands`: orders, given and on their way.

use axum::{Json, extract::State};
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::{Deserialize, Serialize};

use super::{after, known, one_more, page};
use crate::{
    domain::page::{Cursor, cut},
    http::{ApiError, AppState, QueryParams, auth::Caller, ops_api::commands::CommandShown},
    store::lists::{self, CommandFilter},
};

const STATUSES: [&str; 7] = [
    "pending",
    "sent",
    "acknowledged",
    "executing",
    "completed",
    "failed",
    "timeout",
];
const TYPES: [&str; 5] = ["update", "rollback", "config_update", "health_check", "restart"];

/// Which orders.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CommandQuery {
    /// To this plugin.
    plugin_id: Option<PluginId>,
    /// `pending`, `sent`, `acknowledged`, `executing`, `completed`, `failed` or `timeout`.
    status: Option<String>,
    /// `update`, `rollback`, `config_update`, `health_check` or `restart`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// To this merchant's plugins.
    merchant_id: Option<MerchantId>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
}

/// A page of orders, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CommandList {
    commands: Vec<CommandShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/commands`.
#[utoipa::path(
    get,
    path = "/api/ops/commands",
    tag = "commands",
    params(CommandQuery),
    responses((status = 200, description = "Orders, newest first.", body = CommandList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<CommandQuery>,
) -> Result<Json<CommandList>, ApiError> {
    known(query.status.as_deref(), "status", |word| STATUSES.contains(&word))?;
    known(query.kind.as_deref(), "type", |word| TYPES.contains(&word))?;
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let filter = CommandFilter {
        plugin_id: query.plugin_id,
        status: query.status,
        command_type: query.kind,
        merchant_id,
        after: after(query.after.as_deref())?,
        limit: one_more(limit),
    };
    let mut found = lists::commands(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| Cursor {
        at: last.created_at.to_jiff(),
        id: last.id,
    });
    Ok(Json(CommandList {
        commands: found.into_iter().map(CommandShown::from).collect(),
        next: next.map(Cursor::encode),
    }))
}
