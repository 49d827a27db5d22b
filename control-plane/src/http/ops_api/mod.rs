//! Port 8112, `/api/ops`: what people use.
//!
//! An endpoint more is: a handler with `#[utoipa::path]` (its tag, path, parameters, body, the answer when it is done,
//! and the refusals of [`openapi`](super::openapi) that are special to it; those that all have are added), a body and
//! answer with `ToSchema` (each under a name of its own: the document has one list of them), a query with `IntoParams`;
//! a line in [`router`]; a row in [`auth::table`](super::auth::table), without which the guard refuses it; an example of
//! what it writes in `tests/support/walk.rs`, by which the walk over all rows finds its audit entry; and the document
//! anew: `PLUGMEND_SNAPSHOT=write cargo test -p plugmend-control-plane --test openapi`.
//!
//! A handler asks for [`Caller`](super::auth::Caller) and narrows by its `scope`: lists hand `scope.narrow(asked)` to
//! their query, lookups answer 404 where `scope.covers(merchant_id)` is false. A row with `Reach::Own` promises that.

pub mod agents;
mod approvals;
mod audit;
mod commands;
mod decisions;
pub mod enrolment_tokens;
mod events;
mod figures;
mod incidents;
mod lists;
mod merchants;
mod plugins;
mod policy;
mod quarantines;
mod releases;
mod secrets;
mod timeline;
mod webhooks;
mod write;

use utoipa_axum::{router::OpenApiRouter, routes};

use super::AppState;

/// Every endpoint for people.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(lists::agents::list))
        .routes(routes!(lists::agents::certificates))
        .routes(routes!(agents::show))
        .routes(routes!(agents::revoke))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::show))
        .routes(routes!(approvals::approve))
        .routes(routes!(approvals::reject))
        .routes(routes!(approvals::comment))
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::show))
        .routes(routes!(decisions::model))
        .routes(routes!(decisions::reinstate))
        .routes(routes!(lists::audit::list))
        .routes(routes!(audit::entries))
        .routes(routes!(audit::checkpoints))
        .routes(routes!(audit::witnesses))
        .routes(routes!(enrolment_tokens::create))
        .routes(routes!(events::stream))
        .routes(routes!(figures::overview))
        .routes(routes!(figures::kpis))
        .routes(routes!(lists::incidents::list))
        .routes(routes!(timeline::show))
        .routes(routes!(incidents::show))
        .routes(routes!(incidents::approve))
        .routes(routes!(incidents::manual_action))
        .routes(routes!(lists::attempts::list))
        .routes(routes!(merchants::list, merchants::create))
        .routes(routes!(merchants::show))
        .routes(routes!(merchants::wish))
        .routes(routes!(lists::plugins::list, plugins::create))
        .routes(routes!(plugins::show))
        .routes(routes!(lists::commands::list))
        .routes(routes!(commands::create))
        .routes(routes!(secrets::rotate))
        .routes(routes!(commands::show))
        .routes(routes!(policy::show, policy::change))
        .routes(routes!(policy::history))
        .routes(routes!(policy::kill_switch))
        .routes(routes!(policy::dry_run))
        .routes(routes!(quarantines::list))
        .routes(routes!(quarantines::lift))
        .routes(routes!(releases::list))
        .routes(routes!(releases::show))
        .routes(routes!(releases::publish))
        .routes(routes!(releases::uploaded, releases::upload))
        .routes(routes!(releases::block))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::set_active))
        .routes(routes!(webhooks::replay_all))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::replay))
}
