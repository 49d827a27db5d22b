//! `GET /api/ops/autopatch-attempts`: what is done about it. `status` and `limit` are the reference system's.

use axum::{Json, extract::State};
use plugmend_shared::{
    decide::Method,
    ids::{MerchantId, PluginId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{after, known, one_more, page};
use crate::{
    domain::{
        attempt::Status,
        page::{Cursor, cut},
    },
    http::{ApiError, AppState, QueryParams, auth::Caller, ops_api::incidents::AttemptShown},
    store::lists::{self, AttemptFilter},
};

/// Deeper than this nobody leafs; the cursor is there for machines.
const DEEPEST: u32 = 100_000;

/// Which attempts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AttemptQuery {
    /// `pending`, `staging`, `applying`, `success`, `failed`, `rolled_back` or `cancelled`.
    status: Option<String>,
    /// `patch`, `config_fix`, `reinstall`, `rollback` or `hotfix`.
    method: Option<String>,
    /// On this plugin.
    plugin_id: Option<PluginId>,
    /// For this incident.
    incident_id: Option<Uuid>,
    /// On this merchant's plugins.
    merchant_id: Option<MerchantId>,
    /// Only those that wait for people.
    #[serde(default)]
    awaiting_approval: bool,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
    /// Without so many of the newest; not beside `after`.
    offset: Option<u32>,
}

/// A page of attempts, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AttemptList {
    attempts: Vec<AttemptShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/autopatch-attempts`.
#[utoipa::path(
    get,
    path = "/api/ops/autopatch-attempts",
    operation_id = "attempts",
    tag = "incidents",
    params(AttemptQuery),
    responses((status = 200, description = "Attempts, newest first.", body = AttemptList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<AttemptQuery>,
) -> Result<Json<AttemptList>, ApiError> {
    known(query.status.as_deref(), "status", |word| word.parse::<Status>().is_ok())?;
    known(query.method.as_deref(), "method", |word| word.parse::<Method>().is_ok())?;
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let place = after(query.after.as_deref())?;
    let filter = AttemptFilter {
        status: query.status,
        method: query.method,
        plugin_id: query.plugin_id,
        incident_id: query.incident_id,
        merchant_id,
        awaiting_approval: query.awaiting_approval,
        after: place,
        limit: one_more(limit),
        offset: match place {
            Some(_) => 0,
            None => i64::from(query.offset.unwrap_or(0).min(DEEPEST)),
        },
    };
    let mut found = lists::attempts(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| Cursor {
        at: last.created_at.to_jiff(),
        id: last.id,
    });
    Ok(Json(AttemptList {
        attempts: found.into_iter().map(AttemptShown::from).collect(),
        next: next.map(Cursor::encode),
    }))
}
