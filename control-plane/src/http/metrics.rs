//! `GET /metrics`: this process's figures in Prometheus' text format (0.0.4). With a token for whoever says it; without one for
//! this machine alone, and not through a proxy: what a fleet is like is nobody else's business.

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use anyhow::Context as _;
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use plugmend_shared::protocol::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ApiError, AppState, auth};

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Upper bounds of numbers of things.
const SIZES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0];
/// How often what was observed is folded into what is shown.
const FOLD: Duration = Duration::from_secs(5);

/// The process has one recorder, as the `metrics` crate has it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to record; once a process.
///
/// # Errors
/// When something else records already.
pub fn install() -> anyhow::Result<()> {
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch_size".to_owned()), &SIZES))
        .and_then(PrometheusBuilder::install_recorder)
        .context("can not record metrics")?;
    describe();
    let _once = RECORDER.set(handle);
    Ok(())
}

/// Folds observations now and then, so that a process that nobody scrapes stays small.
pub async fn keep_small() {
    loop {
        tokio::time::sleep(FOLD).await;
        if let Some(handle) = RECORDER.get() {
            handle.run_upkeep();
        }
    }
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    counter!("plugmend_heartbeats_total", "Heartbeats by what became of them");
    histogram!("plugmend_heartbeat_seconds", "From a heartbeat's arrival to its commit");
    histogram!("plugmend_ingest_batch_size", "Heartbeats in one commit");
    histogram!(
        "plugmend_http_request_seconds",
        "Requests of the API by route and status"
    );
    counter!("plugmend_job_runs_total", "Looks of the reconcilers by outcome");
    counter!("plugmend_job_done_total", "What the reconcilers changed");
    gauge!("plugmend_plugins", "Plugins by how they are doing");
    gauge!("plugmend_incidents", "Incidents that are not over, by status");
    gauge!("plugmend_incidents_open", "Incidents that are not over, by severity");
    gauge!("plugmend_attempts", "Attempts that have not ended, by status");
    gauge!("plugmend_awaiting_approval", "Attempts that wait for people");
    gauge!("plugmend_commands", "Orders that have not ended, by status");
    gauge!("plugmend_outbox_waiting", "Events that wait to be made deliveries");
    gauge!(
        "plugmend_deliveries",
        "Deliveries of webhooks that wait or were given up on"
    );
    gauge!(
        "plugmend_audit_waiting",
        "Entries of the audit trail that wait to be sealed"
    );
    gauge!("plugmend_loop_lag_seconds", "How long the most overdue incident waits");
    gauge!("plugmend_autopatch_enabled", "1 while automatic changes may be made");
    gauge!(
        "plugmend_figures_counted_timestamp_seconds",
        "When the fleet's figures were counted"
    );
    gauge!(
        "plugmend_kpi_mttd_seconds",
        "From the first sign to the incident, 30 days"
    );
    gauge!("plugmend_kpi_mttr_seconds", "From the incident to its cure, 30 days");
    gauge!(
        "plugmend_kpi_patch_seconds",
        "From the beginning of a cure to its success, 30 days"
    );
    gauge!("plugmend_kpi_success_ratio", "Automatic cures that worked, 30 days");
    gauge!(
        "plugmend_kpi_rollback_ratio",
        "Automatic cures that were taken back, 30 days"
    );
    gauge!("plugmend_kpi_brier", "Brier score of the deciders, 30 days");
    gauge!(
        "plugmend_kpi_calibration_error",
        "Expected calibration error of the deciders, 30 days"
    );
    gauge!(
        "plugmend_kpi_decisions",
        "Decisions by the chances that were given, 30 days"
    );
    gauge!("plugmend_kpi_incidents", "Incidents by type and severity, 30 days");
    gauge!("plugmend_kpi_target", "What was promised");
}

/// The endpoint.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(show))
}

/// This process's figures, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "metrics",
    responses(
        (status = 200, description = "Prometheus' text format.", body = String, content_type = "text/plain"),
        (status = 401, description = "For whoever says PLUGMEND_METRICS_TOKEN; without one, for this machine alone.",
         body = Problem, content_type = "application/problem+json")
    )
)]

async fn show(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let peer = request
        .extensions()
        .get()
        .map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| *peer);
    if !may_see(state.metrics_token.as_ref(), peer, request.headers()) {
        return Err(ApiError::problem(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Who you are could not be established",
        )
        .detail("send 'Authorization: Bearer <PLUGMEND_METRICS_TOKEN>'; without one set, ask from this machine"));
    }
    // A process that records nothing has nothing to show.
    let text = RECORDER.get().map(PrometheusHandle::render).unwrap_or_default();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, text).into_response())
}

fn may_see(token: Option<&SecretString>, peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
    if let Some(token) = token {
        return auth::bearer(headers)
            .is_some_and(|said| bool::from(said.as_bytes().ct_eq(token.expose_secret().as_bytes())));
    }
    let is_here = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    is_here && !headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn without_a_token_this_machine_alone_sees_them() {
        let here = Some("127.0.0.1:5".parse().unwrap());
        let there = Some("10.1.2.3:5".parse().unwrap());
        assert!(may_see(None, here, &headers(&[])));
        assert!(may_see(
            None,
            Some("[::ffff:127.0.0.1]:5".parse().unwrap()),
            &headers(&[])
        ));
        assert!(!may_see(None, there, &headers(&[])));
        assert!(!may_see(None, None, &headers(&[])));
        assert!(!may_see(None, here, &headers(&[("x-forwarded-for", "1.2.3.4")])));
    }

    #[test]
    fn with_a_token_who_says_it_sees_them() {
        let token = SecretString::from("a good token".to_owned());
        let there = Some("10.1.2.3:5".parse().unwrap());
        assert!(may_see(
            Some(&token),
            there,
            &headers(&[("authorization", "Bearer a good token")])
        ));
        for wrong in ["Bearer another token", "Bearer", "Basic a good token"] {
            assert!(
                !may_see(Some(&token), there, &headers(&[("authorization", wrong)])),
                "{wrong}"
            );
        }
    }
}
