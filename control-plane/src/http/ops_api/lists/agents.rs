//! `GET /api/ops/agents` and `GET /api/ops/certificates`.

use axum::{Json, extract::State};
use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::{Deserialize, Serialize};

use super::{known, moment, one_more, page, refused, short};
use crate::{
    domain::page::cut,
    http::{ApiError, AppState, QueryParams, auth::Caller},
    store::lists::{self, AgentFilter, AgentSummary, CertificateFilter, CertificateSummary},
};

/// Which agents.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AgentQuery {
    /// Of this merchant.
    merchant_id: Option<MerchantId>,
    /// Beside this product.
    product: Option<String>,
    /// `active`, `fenced` (seen in two places) or `revoked`.
    standing: Option<String>,
    /// The `next` of the page before.
    after: Option<PluginId>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
}

/// An agent as lists show it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AgentListed {
    plugin_id: PluginId,
    merchant_id: MerchantId,
    product: String,
    standing: &'static str,
    agent_version: String,
    plugin_version: String,
    enrolled_at: Timestamp,
    last_heartbeat: Option<Timestamp>,
    certificate_ends: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<String>,
    fenced_at: Option<Timestamp>,
}

impl From<AgentSummary> for AgentListed {
    fn from(agent: AgentSummary) -> Self {
        let time = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            plugin_id: agent.plugin_id.into(),
            merchant_id: agent.merchant_id.into(),
            product: agent.product,
            standing: match (agent.revoked_at, agent.fenced_at) {
                (Some(_), _) => "revoked",
                (None, Some(_)) => "fenced",
                (None, None) => "active",
            },
            agent_version: agent.agent_version,
            plugin_version: agent.plugin_version,
            enrolled_at: agent.enrolled_at.to_jiff(),
            last_heartbeat: time(agent.last_heartbeat),
            certificate_ends: time(agent.certificate_ends),
            revoked_at: time(agent.revoked_at),
            revoked_reason: agent.revoked_reason,
            fenced_at: time(agent.fenced_at),
        }
    }
}

/// A page of agents, by plugin.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AgentList {
    agents: Vec<AgentListed>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<PluginId>,
}

/// `GET /api/ops/agents`.
#[utoipa::path(
    get,
    path = "/api/ops/agents",
    tag = "agents",
    params(AgentQuery),
    responses((status = 200, description = "Agents, by plugin.", body = AgentList))
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<AgentQuery>,
) -> Result<Json<AgentList>, ApiError> {
    known(query.standing.as_deref(), "standing", |word| {
        matches!(word, "active" | "fenced" | "revoked")
    })?;
    short(query.product.as_deref(), "product")?;
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let filter = AgentFilter {
        merchant_id,
        product: query.product,
        standing: query.standing,
        after: query.after,
        limit: one_more(limit),
    };
    let mut found = lists::agents(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| PluginId(last.plugin_id));
    Ok(Json(AgentList {
        agents: found.into_iter().map(AgentListed::from).collect(),
        next,
    }))
}

/// Which certificates.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    /// Of this plugin's agent.
    plugin_id: Option<PluginId>,
    /// Of this merchant's agents.
    merchant_id: Option<MerchantId>,
    /// That end before this moment.
    ends_before: Option<Timestamp>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most 500; 50 when it is not said.
    limit: Option<u16>,
}

/// A certificate as lists show it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CertificateListed {
    serial: String,
    plugin_id: PluginId,
    merchant_id: MerchantId,
    renewals: i64,
    issued_at: Timestamp,
    not_after: Timestamp,
    renew_after: Timestamp,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<String>,
}

impl From<CertificateSummary> for CertificateListed {
    fn from(certificate: CertificateSummary) -> Self {
        Self {
            serial: certificate.serial,
            plugin_id: certificate.plugin_id.into(),
            merchant_id: certificate.merchant_id.into(),
            renewals: certificate.renewals,
            issued_at: certificate.issued_at.to_jiff(),
            not_after: certificate.not_after.to_jiff(),
            renew_after: certificate.renew_after.to_jiff(),
            revoked_at: certificate.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
            revoked_reason: certificate.revoked_reason,
        }
    }
}

/// A page of certificates; those that end first are at the top.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CertificateList {
    certificates: Vec<CertificateListed>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/certificates`.
#[utoipa::path(
    get,
    path = "/api/ops/certificates",
    tag = "agents",
    params(CertificateQuery),
    responses((status = 200, description = "Certificates; those that end first are at the top.", body = CertificateList))
)]
pub async fn certificates(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<CertificateQuery>,
) -> Result<Json<CertificateList>, ApiError> {
    let limit = page(query.limit);
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let filter = CertificateFilter {
        plugin_id: query.plugin_id,
        merchant_id,
        ends_before: moment(query.ends_before, "ends_before")?,
        after: query.after.as_deref().map(behind).transpose()?,
        limit: one_more(limit),
    };
    let mut found = lists::certificates(&state.db, &filter).await?;
    let next = cut(&mut found, limit, |last| {
        format!("{}.{}", last.not_after.to_jiff().as_microsecond(), last.serial)
    });
    Ok(Json(CertificateList {
        certificates: found.into_iter().map(CertificateListed::from).collect(),
        next,
    }))
}

/// The end and the serial number of the last certificate of the page before.
fn behind(text: &str) -> Result<(Timestamp, String), ApiError> {
    let read = || {
        let (micros, serial) = text.split_once('.')?;
        let at = Timestamp::from_microsecond(micros.parse().ok()?).ok()?;
        let plain = serial.len() <= 64 && serial.bytes().all(|b| b.is_ascii_alphanumeric());
        (plain && at >= Timestamp::UNIX_EPOCH).then(|| (at, serial.to_owned()))
    };
    read().ok_or_else(|| refused("'after' takes the 'next' of the page before, as it was given"))
}
