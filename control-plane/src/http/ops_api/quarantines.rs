//! `/api/ops/quarantines`: which releases are kept from whom, why, and their end.

use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use plugmend_shared::ids::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::write::{actor, id_in_path};
use crate::{
    http::{ApiError, AppState, JsonBody, QueryParams, auth::Caller, openapi::Conflict},
    service::quarantine::{self, QuarantineError},
    store::{
        self,
        quarantine::{Filter, QuarantineView},
    },
};

const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 500;

/// Which quarantines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QuarantinePage {
    product: Option<String>,
    plugin_id: Option<Uuid>,
    /// `plugin`: kept from one; `fleet`: kept from everybody.
    scope: Option<String>,
    /// `active` (unless told otherwise), `lifted` or `all`.
    status: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    limit: Option<u16>,
}

/// A release that is kept away.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QuarantineShown {
    id: Uuid,
    product: String,
    version: String,
    release_digest: Digest,
    /// `plugin` or `fleet`.
    scope: &'static str,
    /// From whom; null for the fleet.
    plugin_id: Option<Uuid>,
    merchant_id: Option<Uuid>,
    /// The attempt by which it was found out, and its incident.
    attempt_id: Option<Uuid>,
    incident_id: Option<Uuid>,
    /// Why it is kept away.
    reason: String,
    /// Whether it speaks against the release elsewhere too.
    counts: bool,
    created_at: Timestamp,
    lifted_at: Option<Timestamp>,
    lifted_by: Option<String>,
    lifted_why: Option<String>,
}

impl From<QuarantineView> for QuarantineShown {
    fn from(view: QuarantineView) -> Self {
        Self {
            id: view.id,
            product: view.product,
            version: view.version,
            release_digest: view.release_digest,
            scope: if view.plugin_id.is_some() { "plugin" } else { "fleet" },
            plugin_id: view.plugin_id,
            merchant_id: view.merchant_id,
            attempt_id: view.attempt_id,
            incident_id: view.incident_id,
            reason: view.reason,
            counts: view.counts,
            created_at: view.created_at,
            lifted_at: view.lifted_at,
            lifted_by: view.lifted_by,
            lifted_why: view.lifted_why,
        }
    }
}

/// One page of quarantines, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QuarantineList {
    quarantines: Vec<QuarantineShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/quarantines?product&plugin_id&scope&status&after&limit`.
#[utoipa::path(
    get,
    path = "/api/ops/quarantines",
    tag = "quarantines",
    params(QuarantinePage),
    responses((status = 200, description = "One page.", body = QuarantineList))
)]
pub async fn list(
    State(state): State<AppState>,
    _caller: Caller,
    QueryParams(page): QueryParams<QuarantinePage>,
) -> Result<Json<QuarantineList>, ApiError> {
    let filter = Filter {
        is_everywhere: one_of(
            page.scope.as_deref(),
            &[("fleet", Some(true)), ("plugin", Some(false))],
            None,
        )?,
        is_lifted: one_of(
            page.status.as_deref(),
            &[("active", Some(false)), ("lifted", Some(true)), ("all", None)],
            Some(false),
        )?,
        product: page.product,
        plugin_id: page.plugin_id,
        after: page.after.as_deref().map(read_place).transpose()?,
    };
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    // One more than is shown says whether there are more.
    let mut found = store::quarantine::list(&state.db, &filter, i64::from(limit) + 1).await?;
    let is_more = found.len() > usize::from(limit);
    found.truncate(usize::from(limit));
    let next = found
        .last()
        .filter(|_| is_more)
        .map(|view| format!("{}_{}", view.created_at.as_microsecond(), view.id));
    let quarantines = found.into_iter().map(QuarantineShown::from).collect();
    Ok(Json(QuarantineList { quarantines, next }))
}

fn one_of<T: Copy>(word: Option<&str>, known: &[(&str, T)], absent: T) -> Result<T, ApiError> {
    let Some(word) = word else { return Ok(absent) };
    let found = known.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        ApiError::bad_request("invalid_query", "The query string can not be read")
            .detail(format!("one of {} is wanted", names.join(", ")))
    })
}

fn read_place(text: &str) -> Result<(Timestamp, Uuid), ApiError> {
    let read = || {
        let (micros, id) = text.split_once('_')?;
        Some((
            Timestamp::from_microsecond(micros.parse().ok()?).ok()?,
            id.parse().ok()?,
        ))
    };
    read().ok_or_else(|| {
        ApiError::bad_request("invalid_cursor", "There is no such page")
            .detail("after is the 'next' of the page before, as it was given")
    })
}

/// The end of a quarantine, and why.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftQuarantine {
    /// Why, in words.
    reason: String,
}

/// `POST /api/ops/quarantines/{id}/lift`.
#[utoipa::path(
    post,
    path = "/api/ops/quarantines/{id}/lift",
    tag = "quarantines",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = LiftQuarantine,
    responses((status = 200, description = "How it stood, and its end.", body = QuarantineShown), Conflict)
)]
pub async fn lift(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(lift): JsonBody<LiftQuarantine>,
) -> Result<Json<QuarantineShown>, ApiError> {
    let id = id_in_path(&id, "quarantine")?;
    let view = quarantine::lift(&state.db, &actor(&caller), id, &lift.reason, state.clock.now()).await?;
    Ok(Json(view.into()))
}

impl From<QuarantineError> for ApiError {
    fn from(error: QuarantineError) -> Self {
        let words = error.to_string();
        match error {
            QuarantineError::Unknown => Self::not_found("unknown_quarantine", "There is no such quarantine"),
            QuarantineError::Lifted => Self::conflict("already_lifted", "It was lifted already"),
            QuarantineError::NoReason => Self::bad_request("reason_required", "Say why").detail(words),
            QuarantineError::Store(error) => error.into(),
        }
    }
}
