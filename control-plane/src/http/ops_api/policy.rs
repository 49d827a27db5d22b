//! `/api/ops/policy`: what may heal by itself, who changed that and why, the kill switch, and "what if".

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::write::{IdempotencyKey, once_key};
use crate::{
    domain::policy::PolicyChange,
    http::{
        ApiError, AppState, JsonBody, QueryParams,
        auth::{Caller, Role},
        openapi::{Changed, Conflict},
    },
    service::policy::{self, Counts, Difference, Place, PolicyError, PolicyView},
    store::{self, policy::PolicyRecord},
};

const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 500;
/// A dry run covers a week unless told otherwise.
const WEEK: u16 = 7;

/// `GET /api/ops/policy`, with its version as `ETag`.
#[utoipa::path(
    get,
    path = "/api/ops/policy",
    tag = "policy",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known.")),
    responses((status = 200, description = "The policy, with its version as `ETag`.", body = PolicyView), (status = 304, description = "It is still that one."))
)]
pub async fn show(State(state): State<AppState>, _caller: Caller, headers: HeaderMap) -> Result<Response, ApiError> {
    let view = policy::view(&state.db).await?;
    let tag = etag(view.version);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(answer(view))
}

/// Which policy was looked at.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header that `seen` reads")]
pub struct IfMatch {
    /// The `ETag` of the policy that was read.
    #[param(rename = "If-Match")]
    tag: String,
}

/// A change of the policy.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPatch {
    /// What is to be otherwise; what is not named stays.
    policy: PolicyChange,
    /// Why, in words for the history.
    reason: String,
}

/// `PATCH /api/ops/policy` with `If-Match`: what was read is what is changed.
#[utoipa::path(
    patch,
    path = "/api/ops/policy",
    tag = "policy",
    params(IfMatch, IdempotencyKey),
    request_body = PolicyPatch,
    responses((status = 200, description = "The policy from now on, with its version as `ETag`.", body = PolicyView), Conflict, Changed)
)]
pub async fn change(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(patch): JsonBody<PolicyPatch>,
) -> Result<Response, ApiError> {
    let seen = seen(&headers)?;
    let key = once_key(&headers, &caller, "PATCH policy", &patch)?;
    let view = policy::change(
        &state.db,
        &caller.subject,
        (&patch.policy, &patch.reason),
        seen,
        key.as_ref(),
        state.clock.now(),
    )
    .await?;
    Ok(answer(view))
}

fn answer(view: PolicyView) -> Response {
    ([(header::ETAG, etag(view.version))], Json(view)).into_response()
}

fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// The version that an `If-Match` names.
fn seen(headers: &HeaderMap) -> Result<i64, ApiError> {
    let given = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    let version = given.and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    match (given, version) {
        (_, Some(version)) => Ok(version),
        (Some(_), None) => Err(ApiError::problem(
            StatusCode::PRECONDITION_FAILED,
            "policy_changed",
            "It is another policy by now",
        )
        .detail("the If-Match is no ETag of a policy; read the policy and send its ETag")),
        (None, None) => Err(ApiError::problem(
            StatusCode::PRECONDITION_REQUIRED,
            "if_match_required",
            "Say which policy you looked at",
        )
        .detail("read the policy and send its ETag as If-Match")),
    }
}

/// Which part of the history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryPage {
    /// The `next` of the page before.
    after: Option<i64>,
    limit: Option<u16>,
}

/// One change of the policy.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PolicyChangeShown {
    /// The policy's version from then on.
    version: i64,
    changed_at: Timestamp,
    /// A person, or the role in the database of whoever wrote SQL.
    changed_by: String,
    /// Whether it was written by SQL.
    by_hand: bool,
    reason: Option<String>,
    /// `{field: {was, is}}`
    changes: Value,
    /// The whole from then on; null when it was deleted.
    policy: Option<Value>,
}

impl From<PolicyRecord> for PolicyChangeShown {
    fn from(record: PolicyRecord) -> Self {
        Self {
            version: record.version,
            changed_at: record.changed_at,
            changed_by: record.changed_by,
            by_hand: record.by_hand,
            reason: record.reason,
            changes: record.changes,
            policy: record.policy,
        }
    }
}

/// One page of the policy's history, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PolicyHistory {
    changes: Vec<PolicyChangeShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/policy/history?after&limit`.
#[utoipa::path(
    get,
    path = "/api/ops/policy/history",
    tag = "policy",
    params(HistoryPage),
    responses((status = 200, description = "One page.", body = PolicyHistory))
)]
pub async fn history(
    State(state): State<AppState>,
    _caller: Caller,
    QueryParams(page): QueryParams<HistoryPage>,
) -> Result<Json<PolicyHistory>, ApiError> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    // One more than is shown says whether there are more.
    let mut found = store::policy::history(&state.db, page.after, i64::from(limit) + 1).await?;
    let is_more = found.len() > usize::from(limit);
    found.truncate(usize::from(limit));
    let next = found.last().filter(|_| is_more).map(|record| record.id.to_string());
    let changes = found.into_iter().map(PolicyChangeShown::from).collect();
    Ok(Json(PolicyHistory { changes, next }))
}

/// The kill switch, thrown or set back.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillSwitch {
    /// True stops every automatic change at once; false lets them go on.
    on: bool,
    /// Why, in words for the history.
    reason: String,
}

/// `POST /api/ops/policy/kill-switch`: without `If-Match`, since nobody reads first in an emergency. Whoever watches may
/// stop; only who runs the fleet may set it going again.
#[utoipa::path(
    post,
    path = "/api/ops/policy/kill-switch",
    tag = "policy",
    request_body = KillSwitch,
    responses((status = 200, description = "The policy from now on.", body = PolicyView), Conflict)
)]
pub async fn kill_switch(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(switch): JsonBody<KillSwitch>,
) -> Result<Response, ApiError> {
    if !switch.on && !caller.roles.contains(&Role::PayAdmin) {
        return Err(
            ApiError::problem(StatusCode::FORBIDDEN, "forbidden", "Your roles do not allow this")
                .detail("anybody of ops may throw the kill switch; to set it back takes the role pay_admin"),
        );
    }
    let view = policy::throw_switch(&state.db, &caller.subject, switch.on, &switch.reason).await?;
    Ok(answer(view))
}

/// A policy to be tried on what was.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunAsked {
    /// What would be otherwise; what is not named is as it is now.
    #[serde(default)]
    policy: PolicyChange,
    /// How many days back, 1 to 31; 7 unless told otherwise.
    days: Option<u16>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Differences on a page, 1 to 500.
    limit: Option<u16>,
}

/// What another policy would have done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DryRunShown {
    /// The time that is covered begins here, and ends now.
    since: Timestamp,
    /// Cures that were judged in that time.
    judged: u64,
    /// Whether there were more, older ones, which were not asked about.
    is_cut: bool,
    /// Cures whose grounds can not be read any more.
    unreadable: u64,
    /// Incidents of that time about which nothing was judged, counted up to 50,000.
    not_judged: u64,
    /// What was said.
    was: Counts,
    /// What would have been said.
    would_be: Counts,
    /// About how many cures the two differ.
    differ: u64,
    /// Those, newest first.
    differences: Vec<Difference>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `POST /api/ops/policy/dry-run`: changes nothing.
#[utoipa::path(
    post,
    path = "/api/ops/policy/dry-run",
    tag = "policy",
    request_body = DryRunAsked,
    responses((status = 200, description = "What would have been.", body = DryRunShown))
)]
pub async fn dry_run(
    State(state): State<AppState>,
    _caller: Caller,
    JsonBody(asked): JsonBody<DryRunAsked>,
) -> Result<Json<DryRunShown>, ApiError> {
    let after = asked.after.as_deref().map(read_place).transpose()?;
    let limit = usize::from(asked.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE));
    let days = asked.days.unwrap_or(WEEK);
    let run = policy::dry_run(&state.db, &asked.policy, days, (after, limit), state.clock.now()).await?;
    Ok(Json(DryRunShown {
        since: run.since,
        judged: run.judged,
        is_cut: run.is_cut,
        unreadable: run.unreadable,
        not_judged: run.not_judged,
        was: run.was,
        would_be: run.would_be,
        differ: run.differ,
        differences: run.differences,
        next: run
            .next
            .map(|place| format!("{}_{}", place.judged_at.as_microsecond(), place.id)),
    }))
}

fn read_place(text: &str) -> Result<Place, ApiError> {
    let read = || {
        let (micros, id) = text.split_once('_')?;
        Some(Place {
            judged_at: Timestamp::from_microsecond(micros.parse().ok()?).ok()?,
            id: id.parse().ok()?,
        })
    };
    read().ok_or_else(|| {
        ApiError::bad_request("invalid_cursor", "There is no such page")
            .detail("after is the 'next' of the page before, as it was given")
    })
}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> Self {
        let words = error.to_string();
        match error {
            PolicyError::Bad(_) => Self::bad_request("invalid_policy", "The policy can not be so").detail(words),
            PolicyError::NoReason => Self::bad_request("reason_required", "Say why").detail(words),
            PolicyError::Days => Self::bad_request("invalid_days", "A dry run can not cover that time").detail(words),
            PolicyError::Nothing => Self::conflict("nothing_changed", "The policy says so already").detail(words),
            PolicyError::Overtaken { .. } => Self::problem(
                StatusCode::PRECONDITION_FAILED,
                "policy_changed",
                "It is another policy by now",
            )
            .detail(words),
            PolicyError::Gone => Self::conflict("no_policy", "There is no policy").detail(words),
            PolicyError::Once(error) => error.into(),
        }
    }
}
