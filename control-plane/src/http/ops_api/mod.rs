//! Port 8112, `/api/ops`: what people use.

pub mod agents;
mod approvals;
mod audit;
mod commands;
mod decisions;
pub mod enrolment_tokens;
mod incidents;
mod merchants;
mod plugins;
mod policy;
mod releases;
mod secrets;
mod webhooks;
mod write;

use axum::{
    Router,
    routing::{get, post},
};

use super::AppState;

/// Every endpoint for people.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/api/ops/agents/{plugin_id}", get(agents::show))
        .route("/api/ops/agents/{plugin_id}/revoke", post(agents::revoke))
        .route("/api/ops/approvals", get(approvals::list))
        .route("/api/ops/approvals/{id}", get(approvals::show))
        .route("/api/ops/approvals/{id}/approve", post(approvals::approve))
        .route("/api/ops/approvals/{id}/reject", post(approvals::reject))
        .route("/api/ops/approvals/{id}/comment", post(approvals::comment))
        .route("/api/ops/decisions", get(decisions::list))
        .route("/api/ops/decisions/{id}", get(decisions::show))
        .route("/api/ops/model", get(decisions::model))
        .route("/api/ops/model/{source}/reinstate", post(decisions::reinstate))
        .route("/api/ops/audit/entries", get(audit::entries))
        .route("/api/ops/audit/checkpoints", get(audit::checkpoints))
        .route("/api/ops/audit/witnesses", get(audit::witnesses))
        .route("/api/ops/enrolment-tokens", post(enrolment_tokens::create))
        .route("/api/ops/plugin-incidents", get(incidents::list))
        .route("/api/ops/plugin-incidents/{id}", get(incidents::show))
        .route("/api/ops/plugin-incidents/{id}/approve", post(incidents::approve))
        .route(
            "/api/ops/plugin-incidents/{id}/manual-action",
            post(incidents::manual_action),
        )
        .route("/api/ops/autopatch-attempts", get(incidents::attempts))
        .route("/api/ops/merchants", get(merchants::list).post(merchants::create))
        .route("/api/ops/merchants/{id}", get(merchants::show))
        .route("/api/ops/merchants/{id}/wishes", post(merchants::wish))
        .route("/api/ops/plugins", get(plugins::list).post(plugins::create))
        .route("/api/ops/plugins/{id}", get(plugins::show))
        .route("/api/ops/plugins/{id}/commands", post(commands::create))
        .route("/api/ops/plugins/{id}/secret", post(secrets::rotate))
        .route("/api/ops/commands/{id}", get(commands::show))
        .route("/api/ops/policy", get(policy::show).patch(policy::change))
        .route("/api/ops/policy/history", get(policy::history))
        .route("/api/ops/policy/kill-switch", post(policy::kill_switch))
        .route("/api/ops/policy/dry-run", post(policy::dry_run))
        .route("/api/ops/releases", get(releases::list))
        .route("/api/ops/releases/publish", post(releases::publish))
        .route(
            "/api/ops/releases/blobs/{sha256}",
            get(releases::uploaded).put(releases::upload),
        )
        .route("/api/ops/releases/{product}/{version}/block", post(releases::block))
        .route("/api/ops/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/api/ops/webhooks/{id}/active", post(webhooks::set_active))
        .route("/api/ops/webhooks/{id}/replay", post(webhooks::replay_all))
        .route("/api/ops/webhook-deliveries", get(webhooks::deliveries))
        .route("/api/ops/webhook-deliveries/{id}/replay", post(webhooks::replay))
}
