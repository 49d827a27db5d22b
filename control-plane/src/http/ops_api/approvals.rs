//! `/api/ops/approvals`: what waits for people, who said what, and who is still needed.

use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;
use plugmend_shared::{ids::Digest, protocol::command::ApprovalSignature};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{incidents::person, write::id_in_path};
use crate::{
    domain::approval::{Missing, Quorum, Refused, Standing},
    http::{ApiError, AppState, JsonBody, QueryParams, auth::Caller, openapi::Conflict},
    service::approval::{self, ApprovalError, LookedAt, Spoken},
    store::{
        self,
        approval::{ApprovalView, Place, Word},
    },
};

const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;

/// Which approvals.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApprovalPage {
    /// `pending`, `approved`, `rejected`, `expired` or `void`.
    status: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    limit: Option<u16>,
}

/// Something that people are asked.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApprovalShown {
    id: Uuid,
    /// `pending`, `approved`, `rejected`, `expired` or `void`.
    status: Standing,
    /// The cure that is asked about.
    attempt_id: Option<Uuid>,
    /// Of which incident.
    incident_id: Option<Uuid>,
    incident_type: Option<String>,
    severity: Option<String>,
    /// The order that is asked about: it is given under this id.
    command_id: Option<Uuid>,
    merchant_id: Uuid,
    plugin_id: Uuid,
    /// What would be done: `patch`, `rollback`, `update`, ...
    action: String,
    product: Option<String>,
    from_version: String,
    to_version: Option<String>,
    /// Exactly this release.
    release_digest: Option<Digest>,
    /// Of everything that would be done.
    content_digest: Digest,
    /// Whom a yes is about: `plugin:<id>`.
    scope: String,
    /// Who must say yes.
    quorum: Quorum,
    /// Who is still waited for; nobody once it is decided.
    missing: Missing,
    /// Why people are asked: `[{code, words}]`.
    reasons: Value,
    /// A person, who has no vote, or `sira`.
    requested_by: String,
    requested_why: Option<String>,
    requested_at: Timestamp,
    expires_at: Timestamp,
    ended_at: Option<Timestamp>,
    ended_why: Option<String>,
    /// What was said, in its order.
    votes: Vec<Word>,
}

impl From<ApprovalView> for ApprovalShown {
    fn from(view: ApprovalView) -> Self {
        let request = &view.request;
        Self {
            id: view.id,
            status: request.standing,
            attempt_id: view.attempt_id,
            incident_id: view.incident_id,
            incident_type: view.incident_type,
            severity: view.severity,
            command_id: view.command_id,
            merchant_id: view.merchant_id,
            plugin_id: view.merchant_plugin_id,
            action: view.action,
            product: view.product,
            from_version: view.from_version,
            to_version: view.version,
            release_digest: request.release,
            content_digest: request.content,
            scope: view.scope,
            missing: if request.standing == Standing::Pending {
                request.missing()
            } else {
                Missing::default()
            },
            quorum: request.quorum.clone(),
            expires_at: request.expires_at,
            reasons: view.reasons,
            requested_by: view.requested_by,
            requested_why: view.requested_why,
            requested_at: view.requested_at,
            ended_at: view.ended_at,
            ended_why: view.ended_why,
            votes: view.words,
        }
    }
}

/// One page of approvals, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApprovalList {
    approvals: Vec<ApprovalShown>,
    /// Give it as `after` to have the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/ops/approvals?status&after&limit`.
#[utoipa::path(
    get,
    path = "/api/ops/approvals",
    tag = "approvals",
    params(ApprovalPage),
    responses((status = 200, description = "One page.", body = ApprovalList))
)]
pub async fn list(
    State(state): State<AppState>,
    _caller: Caller,
    QueryParams(page): QueryParams<ApprovalPage>,
) -> Result<Json<ApprovalList>, ApiError> {
    let standing = page.status.as_deref().map(read_standing).transpose()?;
    let after = page.after.as_deref().map(read_place).transpose()?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    // One more than is shown says whether there are more.
    let mut found = store::approval::list(&state.db, standing, after, i64::from(limit) + 1).await?;
    let is_more = found.len() > usize::from(limit);
    found.truncate(usize::from(limit));
    let next = found
        .last()
        .filter(|_| is_more)
        .map(|view| format!("{}_{}", view.requested_at.as_microsecond(), view.id));
    let approvals = found.into_iter().map(ApprovalShown::from).collect();
    Ok(Json(ApprovalList { approvals, next }))
}

fn read_standing(name: &str) -> Result<Standing, ApiError> {
    Standing::from_name(name).ok_or_else(|| {
        ApiError::bad_request("invalid_query", "The query string can not be read")
            .detail("status is pending, approved, rejected, expired or void")
    })
}

fn read_place(text: &str) -> Result<Place, ApiError> {
    let read = || {
        let (micros, id) = text.split_once('_')?;
        Some(Place {
            requested_at: Timestamp::from_microsecond(micros.parse().ok()?).ok()?,
            id: id.parse().ok()?,
        })
    };
    read().ok_or_else(|| {
        ApiError::bad_request("invalid_cursor", "There is no such page")
            .detail("after is the 'next' of the page before, as it was given")
    })
}

/// `GET /api/ops/approvals/{id}`.
#[utoipa::path(
    get,
    path = "/api/ops/approvals/{id}",
    tag = "approvals",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, description = "The approval.", body = ApprovalShown))
)]
pub async fn show(
    State(state): State<AppState>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ApprovalShown>, ApiError> {
    let id = id_in_path(&id, "approval")?;
    let view = store::approval::find(&state.db, id).await?;
    let view = view.ok_or_else(|| ApiError::not_found("unknown_approval", "There is no such approval"))?;
    Ok(Json(view.into()))
}

/// A yes. What was looked at may be said: it is refused when that is not what would be done.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The release that was looked at.
    #[serde(default)]
    release_digest: Option<Digest>,
    /// Everything that was looked at.
    #[serde(default)]
    content_digest: Option<Digest>,
    /// In words.
    #[serde(default)]
    comment: Option<String>,
    /// By the person's own key, for the agent (`plugmend approve`).
    #[serde(default)]
    signature: Option<ApprovalSignature>,
}

/// `POST /api/ops/approvals/{id}/approve`. Nobody says yes twice, or to what they want themselves.
#[utoipa::path(
    post,
    path = "/api/ops/approvals/{id}/approve",
    tag = "approvals",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = Approve,
    responses((status = 200, description = "How it stands then.", body = ApprovalShown), Conflict)
)]
pub async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(yes): JsonBody<Approve>,
) -> Result<Json<ApprovalShown>, ApiError> {
    let looked_at = LookedAt {
        release: yes.release_digest,
        content: yes.content_digest,
    };
    if let Some(signature) = &yes.signature {
        let id = id_in_path(&id, "approval")?;
        approval::verify((&state.db, &state.repo), id, signature, state.clock.now()).await?;
    }
    let spoken = Spoken::Yes {
        comment: yes.comment,
        signature: yes.signature,
    };
    speak(&state, &caller, &id, spoken, looked_at).await
}

/// A no, and why.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// Why, in words.
    comment: String,
}

/// `POST /api/ops/approvals/{id}/reject`: one no ends it.
#[utoipa::path(
    post,
    path = "/api/ops/approvals/{id}/reject",
    tag = "approvals",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = Reject,
    responses((status = 200, description = "How it stands then.", body = ApprovalShown), Conflict)
)]
pub async fn reject(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(no): JsonBody<Reject>,
) -> Result<Json<ApprovalShown>, ApiError> {
    let spoken = Spoken::No { why: no.comment };
    speak(&state, &caller, &id, spoken, LookedAt::default()).await
}

/// A word that is neither yes nor no.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// The word.
    comment: String,
}

/// `POST /api/ops/approvals/{id}/comment`.
#[utoipa::path(
    post,
    path = "/api/ops/approvals/{id}/comment",
    tag = "approvals",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = Remark,
    responses((status = 200, description = "How it stands then.", body = ApprovalShown), Conflict)
)]
pub async fn comment(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(remark): JsonBody<Remark>,
) -> Result<Json<ApprovalShown>, ApiError> {
    let spoken = Spoken::Comment {
        comment: remark.comment,
    };
    speak(&state, &caller, &id, spoken, LookedAt::default()).await
}

async fn speak(
    state: &AppState,
    caller: &Caller,
    id: &str,
    spoken: Spoken,
    looked_at: LookedAt,
) -> Result<Json<ApprovalShown>, ApiError> {
    let id = id_in_path(id, "approval")?;
    let now = state.clock.now();
    let answered = approval::speak(&state.db, &person(caller), id, (spoken, looked_at), now).await?;
    // It may have been the last word that an order waited for.
    state.polls.waiters().wake(answered.plugin_id);
    Ok(Json(answered.view.into()))
}

impl From<ApprovalError> for ApiError {
    fn from(error: ApprovalError) -> Self {
        let words = error.to_string();
        match error {
            ApprovalError::Unknown => Self::not_found("unknown_approval", "There is no such approval"),
            ApprovalError::Refused(refused) => refuse(refused).detail(words),
            ApprovalError::Comment => Self::bad_request("comment_required", "Say why").detail(words),
            ApprovalError::Signature(_) => {
                Self::bad_request("invalid_signature", "Agents would not take this signature").detail(words)
            }
            ApprovalError::Repo(error) => Self::internal(error),
            ApprovalError::Store(error) => error.into(),
        }
    }
}

/// The answer to a word that does not count.
pub(super) fn refuse(refused: Refused) -> ApiError {
    match refused {
        Refused::Over(_) => ApiError::conflict("already_decided", "It is decided already"),
        Refused::TooLate => ApiError::conflict("approval_expired", "Its time is over"),
        Refused::Changed => ApiError::conflict("content_changed", "It is not what would be done"),
        Refused::Own => ApiError::conflict("own_request", "Nobody approves what they want themselves"),
        Refused::Twice => ApiError::conflict("already_approved", "You said yes already"),
        Refused::SameKey => ApiError::conflict("key_used", "This key has signed already"),
        Refused::NoRole => ApiError::problem(
            axum::http::StatusCode::FORBIDDEN,
            "forbidden",
            "Your roles do not allow this",
        ),
    }
}
