//! `/api/ops/plugin-incidents` and `/api/ops/autopatch-attempts`: what is wrong, what is done about it, and what people
//! say to it. The shapes are the reference system's; what stands beside its fields is ours.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::HeaderMap,
};
use jiff::Timestamp;
use plugmend_shared::{
    ids::{Digest, MerchantId},
    protocol::MAX_BODY_BYTES,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    approvals::refuse,
    write::{IdempotencyKey, id_in_path, once_key},
};
use crate::{
    domain::approval::OpsRole,
    http::{
        ApiError, AppState, JsonBody,
        auth::{Caller, Role},
        body,
        openapi::Conflict,
    },
    service::healing::{self, Approved, ManualAction, ManualDone, ManualError, Person},
    store::{self, attempt::AttemptView, incident::IncidentView},
};

/// An incident as people see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IncidentShown {
    id: Uuid,
    merchant_plugin_id: Uuid,
    merchant_id: Uuid,
    cms: String,
    plugin_version: String,
    incident_type: String,
    severity: String,
    detected_at: Timestamp,
    telemetry_snapshot: Value,
    sira_decision: Option<Value>,
    status: String,
    escalated_to_ops: bool,
    escalated_at: Option<Timestamp>,
    escalation_reason: Option<String>,
    confidence: Option<f64>,
    resolution: Option<String>,
    attempts_count: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<IncidentView> for IncidentShown {
    fn from(view: IncidentView) -> Self {
        Self {
            id: view.id,
            merchant_plugin_id: view.merchant_plugin_id,
            merchant_id: view.merchant_id,
            cms: view.cms,
            plugin_version: view.plugin_version,
            incident_type: view.incident_type,
            severity: view.severity,
            detected_at: view.detected_at.to_jiff(),
            telemetry_snapshot: view.telemetry_snapshot,
            sira_decision: view.sira_decision,
            status: view.status,
            escalated_to_ops: view.escalated_to_ops,
            escalated_at: view.escalated_at.map(jiff_sqlx::Timestamp::to_jiff),
            escalation_reason: view.escalation_reason,
            confidence: view.confidence,
            resolution: view.resolution,
            attempts_count: view.attempts_count,
            created_at: view.created_at.to_jiff(),
            updated_at: view.updated_at.to_jiff(),
        }
    }
}

/// `GET /api/ops/plugin-incidents/{id}`.
#[utoipa::path(
    get,
    path = "/api/ops/plugin-incidents/{id}",
    tag = "incidents",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "The incident.", body = IncidentShown))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<IncidentShown>, ApiError> {
    let id = id_in_path(&id, "incident")?;
    let view = store::incident::view(&state.db, id).await?;
    let view = view.filter(|view| caller.scope.covers(MerchantId(view.merchant_id)));
    let view = view.ok_or_else(|| ApiError::not_found("unknown_incident", "There is no such incident"))?;
    Ok(Json(view.into()))
}

/// An attempt as people see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AttemptShown {
    id: Uuid,
    incident_id: Option<Uuid>,
    merchant_plugin_id: Uuid,
    merchant_id: Uuid,
    cms: String,
    incident_type: Option<String>,
    severity: Option<String>,
    from_version: String,
    to_version: Option<String>,
    method: String,
    status: String,
    logs: Value,
    staging_result: Option<Value>,
    production_result: Option<Value>,
    executed_by: String,
    executed_at: Option<Timestamp>,
    rolled_back_at: Option<Timestamp>,
    rollback_reason: Option<String>,
    approved_by: Value,
    requires_approval: bool,
    approval_needed: Option<Value>,
    end_reason: Option<String>,
    command_id: Option<Uuid>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<AttemptView> for AttemptShown {
    fn from(view: AttemptView) -> Self {
        Self {
            id: view.id,
            incident_id: view.incident_id,
            merchant_plugin_id: view.merchant_plugin_id,
            merchant_id: view.merchant_id,
            cms: view.cms,
            incident_type: view.incident_type,
            severity: view.severity,
            from_version: view.from_version,
            to_version: view.to_version,
            method: view.method,
            status: view.status,
            logs: view.logs,
            staging_result: view.staging_result,
            production_result: view.production_result,
            executed_by: view.executed_by,
            executed_at: view.executed_at.map(jiff_sqlx::Timestamp::to_jiff),
            rolled_back_at: view.rolled_back_at.map(jiff_sqlx::Timestamp::to_jiff),
            rollback_reason: view.rollback_reason,
            approved_by: view.approved_by,
            requires_approval: view.requires_approval,
            approval_needed: view.approval_needed,
            end_reason: view.end_reason,
            command_id: view.command_id,
            created_at: view.created_at.to_jiff(),
            updated_at: view.updated_at.to_jiff(),
        }
    }
}

/// A yes, optionally to exactly this release.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Yes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release_digest: Option<Digest>,
}

/// `POST /api/ops/plugin-incidents/{id}/approve`. Saying it twice is saying it once.
#[utoipa::path(
    post,
    path = "/api/ops/plugin-incidents/{id}/approve",
    tag = "incidents",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = Option<Yes>,
    responses((status = 200, description = "Who said yes, and whether that is enough.", body = Approved), Conflict)
)]
pub async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Approved>, ApiError> {
    let id = id_in_path(&id, "incident")?;
    let bytes = body::read(body, MAX_BODY_BYTES).await?;
    // The reference system sends no body.
    let yes: Yes = if bytes.is_empty() {
        Yes::default()
    } else {
        body::parse(&bytes)?
    };
    let approved = healing::approve(&state.db, &person(&caller), id, yes.release_digest, state.clock.now()).await?;
    Ok(Json(approved))
}

/// `POST /api/ops/plugin-incidents/{id}/manual-action`.
#[utoipa::path(
    post,
    path = "/api/ops/plugin-incidents/{id}/manual-action",
    tag = "incidents",
    params(("id" = Uuid, Path, description = "Its id."), IdempotencyKey),
    request_body = ManualAction,
    responses((status = 200, description = "What it came to.", body = ManualDone), Conflict)
)]
pub async fn manual_action(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(action): JsonBody<ManualAction>,
) -> Result<Json<ManualDone>, ApiError> {
    let id: Uuid = id_in_path(&id, "incident")?;
    let endpoint = format!("POST plugin-incidents/{id}/manual-action");
    let key = once_key(&headers, &caller, &endpoint, &action)?;
    let now = state.clock.now();
    let done = healing::manual_action(
        (&state.db, &state.entropy),
        &person(&caller),
        id,
        &action,
        key.as_ref(),
        now,
    )
    .await?;
    Ok(Json(done))
}

/// Who acts, for what is counted by person and role.
pub(super) fn person(caller: &Caller) -> Person {
    let role = |role: &Role| match role {
        Role::PayAdmin => Some(OpsRole::PayAdmin),
        Role::ComplianceOps => Some(OpsRole::ComplianceOps),
        Role::MerchantAdmin | Role::OpsViewer => None,
    };
    Person {
        subject: caller.subject.clone(),
        roles: caller.roles.iter().filter_map(role).collect(),
    }
}

impl From<ManualError> for ApiError {
    fn from(error: ManualError) -> Self {
        let words = error.to_string();
        match error {
            ManualError::Unknown => Self::not_found("unknown_incident", "There is no such incident"),
            ManualError::NothingToApprove => {
                Self::conflict("nothing_to_approve", "Nothing waits for approval").detail(words)
            }
            ManualError::OtherRelease => {
                Self::conflict("release_changed", "It is another release by now").detail(words)
            }
            ManualError::NotCounted(refused) => refuse(refused).detail(words),
            ManualError::Closed => Self::conflict("incident_closed", "The incident is closed").detail(words),
            ManualError::UnderWay => Self::conflict("attempt_under_way", "A cure is on its way").detail(words),
            ManualError::NothingUnderWay => Self::conflict("no_attempt", "No cure is on its way").detail(words),
            ManualError::Malformed(_) => {
                Self::bad_request("invalid_action", "The action can not be done").detail(words)
            }
            ManualError::Refused(_) => {
                Self::conflict("refused_by_policy", "The policy does not allow this").detail(words)
            }
            ManualError::Once(error) => error.into(),
            ManualError::Entropy(error) => error.into(),
            ManualError::Store(error) => error.into(),
        }
    }
}
