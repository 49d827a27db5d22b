//! The audit trail as it can be proved: entries with their places, and the signed checkpoints.

use axum::{Json, extract::State};
use plugmend_shared::audit::{checkpoint::Checkpoint, entry::ExportedEntry};
use serde::{Deserialize, Serialize};

use crate::{
    http::{ApiError, AppState, QueryParams, auth::Caller},
    store::audit_chain,
};

/// Entries without a place in one answer, at most.
const WITHOUT_PLACE: i64 = 10_000;
/// Different checkpoints of agents in one answer, at most.
const WITNESSED: i64 = 1_000;

/// What to export.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// From this place on; of checkpoints, those of more entries than that.
    after: Option<u64>,
    limit: Option<i64>,
}

impl PageQuery {
    fn limit(&self) -> i64 {
        self.limit.unwrap_or(5000).clamp(1, 10_000)
    }
}

/// One page of entries.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Entries {
    entries: Vec<ExportedEntry>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/ops/audit/entries`: by their places; the last page ends with those that have none.
#[utoipa::path(
    get,
    path = "/api/ops/audit/entries",
    tag = "audit",
    params(PageQuery),
    responses((status = 200, description = "One page.", body = Entries))
)]
pub async fn entries(
    State(state): State<AppState>,
    _caller: Caller,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Entries>, ApiError> {
    let limit = query.limit();
    let mut entries = audit_chain::export(&state.db, query.after.unwrap_or(0), limit).await?;
    let more = i64::try_from(entries.len()).is_ok_and(|n| n == limit);
    let last = entries.last().and_then(|last| last.seq).filter(|_| more);
    if last.is_none() {
        entries.extend(audit_chain::without_place(&state.db, WITHOUT_PLACE).await?);
    }
    let next = last.map(|seq| (seq + 1).to_string());
    Ok(Json(Entries { entries, next }))
}

/// One page of notes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Checkpoints {
    checkpoints: Vec<String>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/ops/audit/checkpoints`: what the database holds of them. The file outside is the better witness.
#[utoipa::path(
    get,
    path = "/api/ops/audit/checkpoints",
    tag = "audit",
    params(PageQuery),
    responses((status = 200, description = "One page.", body = Checkpoints))
)]
pub async fn checkpoints(
    State(state): State<AppState>,
    _caller: Caller,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Json<Checkpoints>, ApiError> {
    let limit = query.limit();
    let checkpoints = audit_chain::notes_after(&state.db, query.after.unwrap_or(0), limit).await?;
    let more = i64::try_from(checkpoints.len()).is_ok_and(|n| n == limit);
    let last = checkpoints
        .last()
        .filter(|_| more)
        .and_then(|note| Checkpoint::read_unverified(note).ok());
    let next = last.map(|last| last.size.to_string());
    Ok(Json(Checkpoints { checkpoints, next }))
}

/// `GET /api/ops/audit/witnesses`: the checkpoints that agents hold, as they said with their last heartbeats.
#[utoipa::path(
    get,
    path = "/api/ops/audit/witnesses",
    tag = "audit",
    responses((status = 200, description = "What agents hold.", body = Checkpoints))
)]
pub async fn witnesses(State(state): State<AppState>, _caller: Caller) -> Result<Json<Checkpoints>, ApiError> {
    let checkpoints = audit_chain::witnessed(&state.db, WITNESSED).await?;
    Ok(Json(Checkpoints {
        checkpoints,
        next: None,
    }))
}
