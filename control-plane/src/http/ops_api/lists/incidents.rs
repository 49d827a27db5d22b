//! `GET /api/ops/plugin-incidents`: what is wrong. `status`, `severity`, `limit` and `offset` are the reference system's.

use axum::{Json, extract::State};
use jiff::Timestamp;
use plugmend_shared::{
    detect::{IncidentType, Severity},
    ids::{MerchantId, PluginId},
};
use serde::{Deserialize, Serialize};

use super::{after, known, moment, one_more, page, search};
use crate::{
    domain::{
        incident::Status,
        page::{Cursor, cut},
    },
    http::{ApiError, AppState, QueryParams, auth::Caller, ops_api::incidents::IncidentShown},
    store::lists::{self, IncidentFilter, Meant},
};

/// Deeper than this nobody leafs; the cursor is there for machines.
const DEEPEST: u32 = 100_000;

/// Which incidents.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// `open`, `in_progress`, `mitigated`, `escalated` or `closed`.
    status: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// `webhook_fail_rate`, say.
    incident_type: Option<String>,
    /// Of this plugin.
    plugin_id: Option<PluginId>,
    /// Of this merchant's plugins.
    merchant_id: Option<MerchantId>,
    /// Detected at this moment or later.
    since: Option<Timestamp>,
    /// Detected before this moment.
    until: Option<Timestamp>,
    /// The beginning of an incident's, a plugin's or a merchant's id, or words of the merchant's name.
    q: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
    /// Without so many of the newest; not beside `after`.
    offset: Option<u32>,
}

/// A page of incidents, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IncidentList {
    incidents: Vec<IncidentShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/plugin-incidents`.
#[utoipa::path(
    get,
    path = "/api/ops/plugin-incidents",
    tag = "incidents",
    params(IncidentQuery),
    responses((status = 200, description = "Incidents, newest first.", body = IncidentList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<IncidentQuery>,
) -> Result<Json<IncidentList>, ApiError> {
    known(query.status.as_deref(), "status", |word| word.parse::<Status>().is_ok())?;
    known(query.severity.as_deref(), "severity", |word| {
        word.parse::<Severity>().is_ok()
    })?;
    known(query.incident_type.as_deref(), "incident_type", |word| {
        word.parse::<IncidentType>().is_ok()
    })?;
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let meant = search(&state, query.q.as_deref(), merchant_id).await?;
    if meant.as_ref().is_some_and(Meant::is_nobody) {
        return Ok(Json(IncidentList {
            incidents: Vec::new(),
            next: None,
        }));
    }
    let place = after(query.after.as_deref())?;
    let filter = IncidentFilter {
        status: query.status,
        severity: query.severity,
        incident_type: query.incident_type,
        plugin_id: query.plugin_id,
        merchant_id,
        since: moment(query.since, "since")?,
        until: moment(query.until, "until")?,
        meant,
        after: place,
        limit: one_more(limit),
        offset: match place {
            Some(_) => 0,
            None => i64::from(query.offset.unwrap_or(0).min(DEEPEST)),
        },
    };
    let mut found = lists::incidents(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| Cursor {
        at: last.detected_at.to_jiff(),
        id: last.id,
    });
    Ok(Json(IncidentList {
        incidents: found.into_iter().map(IncidentShown::from).collect(),
        next: next.map(Cursor::encode),
    }))
}
