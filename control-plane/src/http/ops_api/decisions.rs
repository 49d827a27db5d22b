//! `/api/ops/decisions`: what was decided, by whom, on what grounds; `/api/ops/model`: what that is worth.

use axum::{
    Json,
    extract::{Path, State},
};
use plugmend_shared::ids::PluginId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::write::{actor, id_in_path};
use crate::{
    http::{ApiError, AppState, QueryParams, auth::Caller, openapi::Conflict},
    service::learn::{self, LearnError, ModelView},
    store::{
        self,
        decision::{DecisionRow, Filter},
    },
};

const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 500;
/// Questions are long: fewer of them go into one page.
const LONGEST_PAGE_WITH_INPUT: u16 = 100;

/// Which part of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    incident_id: Option<Uuid>,
    plugin_id: Option<PluginId>,
    /// `external`, `built_in` or `heuristics`.
    source: Option<String>,
    /// With what was asked, as `plugmend decide replay` takes it.
    #[serde(default)]
    with_input: bool,
    /// The `next` of the page before.
    after: Option<Uuid>,
    limit: Option<u16>,
}

/// One page of decisions, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DecisionList {
    decisions: Vec<DecisionRow>,
    /// Give it as `after` to have the next page; absent on the last.
    next: Option<Uuid>,
}

/// `GET /api/ops/decisions?incident_id&plugin_id&source&with_input&after&limit`.
#[utoipa::path(
    get,
    path = "/api/ops/decisions",
    tag = "decisions",
    params(Page),
    responses((status = 200, description = "One page.", body = DecisionList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(page): QueryParams<Page>,
) -> Result<Json<DecisionList>, ApiError> {
    let longest = if page.with_input {
        LONGEST_PAGE_WITH_INPUT
    } else {
        LONGEST_PAGE
    };
    let limit = page.limit.unwrap_or(PAGE).clamp(1, longest);
    let filter = Filter {
        merchant_id: caller.scope.only(),
        incident_id: page.incident_id,
        plugin_id: page.plugin_id,
        source: page.source,
        after: page.after,
        with_input: page.with_input,
    };
    let decisions = store::decision::list(&state.db, &filter, limit).await?;
    let is_full = decisions.len() == usize::from(limit);
    let next = decisions.last().filter(|_| is_full).map(|decision| decision.id);
    Ok(Json(DecisionList { decisions, next }))
}

/// `GET /api/ops/decisions/{id}`: with everything that it rests on.
#[utoipa::path(
    get,
    path = "/api/ops/decisions/{id}",
    tag = "decisions",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "The decision.", body = DecisionRow))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DecisionRow>, ApiError> {
    let id = id_in_path(&id, "decision")?;
    let decision = store::decision::view(&state.db, id)
        .await?
        .filter(|decision| caller.scope.covers(decision.merchant_id))
        .ok_or_else(|| ApiError::not_found("unknown_decision", "There is no such decision"))?;
    Ok(Json(decision))
}

/// `GET /api/ops/model`: how the deciders stand and how well their confidences hold.
#[utoipa::path(
    get,
    path = "/api/ops/model",
    tag = "model",
    responses((status = 200, description = "How the deciders stand.", body = ModelView))
)]
pub async fn model(State(state): State<AppState>, _caller: Caller) -> Result<Json<ModelView>, ApiError> {
    Ok(Json(learn::model(&state.db, state.clock.now()).await?))
}

/// `POST /api/ops/model/{source}/reinstate`: lets a demoted decider decide again.
#[utoipa::path(
    post,
    path = "/api/ops/model/{source}/reinstate",
    tag = "model",
    params(("source" = String, Path, description = "`built_in` or `external`.")),
    responses((status = 200, description = "How the deciders stand then.", body = ModelView), Conflict)
)]
pub async fn reinstate(
    State(state): State<AppState>,
    caller: Caller,
    Path(source): Path<String>,
) -> Result<Json<ModelView>, ApiError> {
    if !matches!(source.as_str(), "built_in" | "external") {
        return Err(ApiError::not_found("unknown_model", "There is no such model"));
    }
    let now = state.clock.now();
    learn::reinstate(&state.db, &actor(&caller), &source, now).await?;
    Ok(Json(learn::model(&state.db, now).await?))
}

impl From<LearnError> for ApiError {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::NotDemoted(_) => Self::conflict("not_demoted", "The model decides already"),
            LearnError::Store(error) => error.into(),
        }
    }
}
