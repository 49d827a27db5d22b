//! `GET /api/ops/overview` and `GET /api/ops/kpis`: the fleet at a glance, and how well it is kept.

use axum::{Json, extract::State};
use plugmend_shared::ids::MerchantId;
use serde::Deserialize;

use crate::{
    http::{ApiError, AppState, QueryParams, auth::Caller},
    service::figures::{self, DEFAULT_DAYS, KpiView, MOST_DAYS, Overview},
};

/// Whose.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OverviewQuery {
    /// Of this merchant only.
    merchant_id: Option<MerchantId>,
}

/// `GET /api/ops/overview`.
#[utoipa::path(
    get,
    path = "/api/ops/overview",
    tag = "figures",
    params(OverviewQuery),
    responses((status = 200, description = "The fleet at a glance.", body = Overview))
)]
pub async fn overview(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<OverviewQuery>,
) -> Result<Json<Overview>, ApiError> {
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    Ok(Json(
        figures::overview(&state.db, merchant_id, state.clock.now()).await?,
    ))
}

/// Over how many days, and whose.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct KpiQuery {
    /// 1 to 366; 30 when it is not said.
    days: Option<u16>,
    /// Of this merchant only.
    merchant_id: Option<MerchantId>,
}

/// `GET /api/ops/kpis`.
#[utoipa::path(
    get,
    path = "/api/ops/kpis",
    tag = "figures",
    params(KpiQuery),
    responses((status = 200, description = "How well the fleet is kept.", body = KpiView))
)]
pub async fn kpis(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<KpiQuery>,
) -> Result<Json<KpiView>, ApiError> {
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let days = query.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(
            ApiError::bad_request("invalid_query", "The query string can not be read")
                .detail(format!("days is 1 to {MOST_DAYS}")),
        );
    }
    Ok(Json(
        figures::kpis(&state.db, days, merchant_id, state.clock.now()).await?,
    ))
}
