//! `GET /api/ops/audit`: who did what, when.

use axum::{Json, extract::State};
use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{after, known, moment, one_more, page, short};
use crate::{
    domain::page::{Cursor, cut},
    http::{ApiError, AppState, QueryParams, auth::Caller},
    store::lists::{self, AuditFilter, AuditRow},
};

/// Which entries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// By this person, plugin or merchant.
    actor: Option<String>,
    /// By this kind: `merchant`, `ops`, `sira` or `system`.
    actor_type: Option<String>,
    /// `incident_opened`, say.
    action: Option<String>,
    /// About this plugin.
    plugin_id: Option<PluginId>,
    /// About this merchant.
    merchant_id: Option<MerchantId>,
    /// At this moment or later.
    since: Option<Timestamp>,
    /// Before this moment.
    until: Option<Timestamp>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
}

/// An entry of the trail.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AuditShown {
    id: Uuid,
    merchant_id: Option<Uuid>,
    merchant_plugin_id: Option<Uuid>,
    actor_id: Option<String>,
    actor_type: String,
    action: String,
    details: Value,
    ip_address: Option<String>,
    user_agent: Option<String>,
    created_at: Timestamp,
    /// Its place in the tree that proves the trail; null until it is sealed.
    place: Option<i64>,
}

impl From<AuditRow> for AuditShown {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            merchant_id: row.merchant_id,
            merchant_plugin_id: row.merchant_plugin_id,
            actor_id: row.actor_id,
            actor_type: row.actor_type,
            action: row.action,
            details: row.details,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            created_at: row.created_at.to_jiff(),
            place: row.place,
        }
    }
}

/// A page of the trail, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AuditList {
    entries: Vec<AuditShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/audit`.
#[utoipa::path(
    get,
    path = "/api/ops/audit",
    tag = "audit",
    params(AuditQuery),
    responses((status = 200, description = "Entries of the trail, newest first.", body = AuditList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<AuditQuery>,
) -> Result<Json<AuditList>, ApiError> {
    known(query.actor_type.as_deref(), "actor_type", |word| {
        matches!(word, "merchant" | "ops" | "sira" | "system")
    })?;
    short(query.actor.as_deref(), "actor")?;
    short(query.action.as_deref(), "action")?;
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let filter = AuditFilter {
        actor: query.actor,
        actor_type: query.actor_type,
        action: query.action,
        plugin_id: query.plugin_id,
        merchant_id,
        since: moment(query.since, "since")?,
        until: moment(query.until, "until")?,
        after: after(query.after.as_deref())?,
        limit: one_more(limit),
    };
    let mut found = lists::audit(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| Cursor {
        at: last.created_at.to_jiff(),
        id: last.id,
    });
    Ok(Json(AuditList {
        entries: found.into_iter().map(AuditShown::from).collect(),
        next: next.map(Cursor::encode),
    }))
}
