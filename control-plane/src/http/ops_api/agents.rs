//! `GET /api/ops/agents/{plugin_id}` and `POST /api/ops/agents/{plugin_id}/revoke`.

use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::write::{actor, id_in_path};
use crate::{
    domain::identity::Sightings,
    http::{ApiError, AppState, JsonBody, auth::Caller, openapi::Conflict},
    service::standing,
    store::{
        agent::{self, Agent},
        certificate::{self, Certificate},
    },
};

/// The longest reason, in bytes.
const MAX_REASON: usize = 500;
/// How many certificates are shown, the newest first.
const SHOWN: u8 = 20;

/// An agent, for people.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AgentAnswer {
    plugin_id: PluginId,
    merchant_id: MerchantId,
    product: String,
    /// `active`, `revoked` or `fenced`.
    standing: &'static str,
    agent_version: String,
    enrolled_at: Timestamp,
    enrolled_from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Revocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fenced: Option<Fence>,
    /// Which lives of its process were seen, when, and from where.
    sightings: Sightings,
    certificates: Vec<CertificateAnswer>,
}

/// Who revoked it, and why.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Revocation {
    at: Timestamp,
    reason: Option<String>,
    by: Option<String>,
}

/// Why it is thought to be in two places.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Fence {
    at: Timestamp,
    evidence: Option<Value>,
}

/// One of its certificates.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CertificateAnswer {
    serial: String,
    renewals: u64,
    issued_at: Timestamp,
    not_after: Timestamp,
    renew_after: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
}

/// Shows an agent.
#[utoipa::path(
    get,
    path = "/api/ops/agents/{plugin_id}",
    tag = "agents",
    params(("plugin_id" = Uuid, Path, description = "The plugin's id.")),
    responses((status = 200, description = "The agent.", body = AgentAnswer))
)]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<AgentAnswer>, ApiError> {
    let Json(agent) = answer(&state, id_in_path(&id, "agent")?).await?;
    if caller.scope.covers(agent.merchant_id) {
        Ok(Json(agent))
    } else {
        Err(unknown())
    }
}

/// Why it is revoked.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    reason: String,
}

/// Revokes an agent, at once and on open connections too. Revoking it again changes nothing.
#[utoipa::path(
    post,
    path = "/api/ops/agents/{plugin_id}/revoke",
    tag = "agents",
    params(("plugin_id" = Uuid, Path, description = "The plugin's id.")),
    request_body = Revoke,
    responses((status = 200, description = "The agent, revoked.", body = AgentAnswer), Conflict)
)]
pub async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(revoke): JsonBody<Revoke>,
) -> Result<Json<AgentAnswer>, ApiError> {
    let reason = revoke.reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON {
        let problem = ApiError::bad_request("invalid_field", "A field can not be read");
        return Err(problem.detail(format!("reason is 1 to {MAX_REASON} bytes")));
    }
    let id = id_in_path(&id, "agent")?;
    let by = (&actor(&caller), caller.subject.as_str());
    standing::revoke(&state.db, by, id, reason, state.clock.now()).await?;
    answer(&state, id).await
}

fn unknown() -> ApiError {
    ApiError::not_found("unknown_agent", "There is no such agent")
}

async fn answer(state: &AppState, id: PluginId) -> Result<Json<AgentAnswer>, ApiError> {
    let agent = agent::find(&state.db, id).await?;
    let agent = agent.ok_or_else(unknown)?;
    let certificates = certificate::list(&state.db, id, SHOWN).await?;
    Ok(Json(describe(agent, certificates)))
}

fn describe(agent: Agent, certificates: Vec<Certificate>) -> AgentAnswer {
    let (reason, by, evidence) = (agent.revoked_reason, agent.revoked_by, agent.fence_evidence);
    AgentAnswer {
        standing: match (agent.revoked_at, agent.fenced_at) {
            (Some(_), _) => "revoked",
            (None, Some(_)) => "fenced",
            (None, None) => "active",
        },
        plugin_id: agent.plugin_id,
        merchant_id: agent.merchant_id,
        product: agent.product,
        agent_version: agent.agent_version,
        enrolled_at: agent.enrolled_at,
        enrolled_from: agent.enrolled_from,
        revoked: agent.revoked_at.map(|at| Revocation { at, reason, by }),
        fenced: agent.fenced_at.map(|at| Fence { at, evidence }),
        sightings: agent.sightings,
        certificates: certificates.into_iter().map(CertificateAnswer::from).collect(),
    }
}

impl From<Certificate> for CertificateAnswer {
    fn from(certificate: Certificate) -> Self {
        Self {
            serial: certificate.serial,
            renewals: certificate.renewals,
            issued_at: certificate.issued_at,
            not_after: certificate.not_after,
            renew_after: certificate.renew_after,
            revoked: certificate.revoked,
        }
    }
}
