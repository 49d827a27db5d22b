//! `GET /api/ops/plugin-incidents/{id}/timeline`: the course of one incident.

use axum::{
    Json,
    extract::{Path, State},
};

use uuid::Uuid;

use super::write::id_in_path;
use crate::{
    http::{ApiError, AppState, auth::Caller},
    service::timeline::{self, Course},
};

/// `GET /api/ops/plugin-incidents/{id}/timeline`.
#[utoipa::path(
    get,
    path = "/api/ops/plugin-incidents/{id}/timeline",
    tag = "incidents",
    operation_id = "timeline",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "Its course.", body = Course))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Course>, ApiError> {
    let id: Uuid = id_in_path(&id, "incident")?;
    let course = timeline::course(&state.db, id, caller.scope.only(), state.clock.now()).await?;
    course
        .map(Json)
        .ok_or_else(|| ApiError::not_found("unknown_incident", "There is no such incident"))
}
