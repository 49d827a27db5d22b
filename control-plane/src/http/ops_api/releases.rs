//! Releases: uploaded, published, listed, blocked.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
};
use jiff::Timestamp;
use plugmend_shared::ids::{Digest, Product};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::write::{actor, id_in_path};
use crate::{
    http::{
        ApiError, AppState, JsonBody, QueryParams,
        auth::Caller,
        body,
        openapi::{Conflict, Unprocessable},
    },
    repo::{RepoError, Submission},
    service::release::{self, PublishedView, ReleaseError},
    store::{
        self,
        release::{ReleaseFound, ReleaseView},
    },
};

/// The largest submission: signed metadata of every product, in bytes.
const MAX_SUBMISSION: usize = 32 * 1024 * 1024;
/// The longest reason, in bytes.
const MAX_REASON: usize = 500;

/// `GET /api/ops/releases/blobs/{sha256}`: whether a file was uploaded.
#[utoipa::path(
    get,
    path = "/api/ops/releases/blobs/{sha256}",
    tag = "releases",
    params(("sha256" = String, Path, description = "The file's SHA-256, 64 lower-case hexadecimal digits.")),
    responses((status = 204, description = "It was uploaded."))
)]
pub async fn uploaded(
    State(state): State<AppState>,
    _caller: Caller,
    Path(sha256): Path<String>,
) -> Result<StatusCode, ApiError> {
    let sha256: Digest = id_in_path(&sha256, "upload")?;
    if state.repo.has_upload(&sha256).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("unknown_upload", "There is no such upload"))
    }
}

/// What was uploaded.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Uploaded {
    sha256: Digest,
    bytes: u64,
}

/// `PUT /api/ops/releases/blobs/{sha256}`: a file of a release, as a stream.
#[utoipa::path(
    put,
    path = "/api/ops/releases/blobs/{sha256}",
    tag = "releases",
    params(("sha256" = String, Path, description = "The file's SHA-256, 64 lower-case hexadecimal digits.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, description = "It is kept until a release names it.", body = Uploaded), Unprocessable)
)]
pub async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    Path(sha256): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Uploaded>), ApiError> {
    let sha256: Digest = id_in_path(&sha256, "upload")?;
    let who = actor(&caller);
    let bytes = release::upload(&state.db, &state.repo, &who, &sha256, body.into_data_stream()).await?;
    Ok((StatusCode::CREATED, Json(Uploaded { sha256, bytes })))
}

/// Signed metadata.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubmission {
    #[serde(default)]
    roots: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// `POST /api/ops/releases/publish`.
#[utoipa::path(
    post,
    path = "/api/ops/releases/publish",
    tag = "releases",
    request_body = NewSubmission,
    responses((status = 200, description = "What was published.", body = PublishedView), Conflict, Unprocessable)
)]
pub async fn publish(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<PublishedView>, ApiError> {
    let new: NewSubmission = body::parse(&body::read(body, MAX_SUBMISSION).await?)?;
    let submission = Submission {
        roots: new.roots.into_iter().map(Into::into).collect(),
        metadata: new
            .metadata
            .into_iter()
            .map(|(role, text)| (role, text.into()))
            .collect(),
    };
    let now = state.clock.now();
    Ok(Json(
        release::publish(&state.db, &state.repo, &actor(&caller), submission, now).await?,
    ))
}

/// What to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    product: Option<Product>,
    /// Begin behind this release, `product~version`.
    after: Option<String>,
    limit: Option<i64>,
}

/// One page of releases.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReleaseList {
    releases: Vec<ReleaseView>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/ops/releases`.
#[utoipa::path(
    get,
    path = "/api/ops/releases",
    tag = "releases",
    params(ListQuery),
    responses((status = 200, description = "One page.", body = ReleaseList))
)]
pub async fn list(
    State(state): State<AppState>,
    _caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<ReleaseList>, ApiError> {
    let limit = query.limit.unwrap_or(200).clamp(1, 1000);
    let after = query.after.as_deref().map(|after| {
        let split = after.split_once('~');
        split.ok_or_else(|| ApiError::bad_request("invalid_query", "The query string can not be read"))
    });
    let releases = store::release::list(&state.db, query.product.as_ref(), after.transpose()?, limit).await?;
    let more = i64::try_from(releases.len()).is_ok_and(|n| n == limit);
    let next = releases
        .last()
        .filter(|_| more)
        .map(|r| format!("{}~{}", r.product, r.version));
    Ok(Json(ReleaseList { releases, next }))
}

/// One release with everything that is known of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReleaseShown {
    product: String,
    version: String,
    digest: Digest,
    /// `published`, `blocked`, `revoked` or `withdrawn`.
    state: &'static str,
    /// What a mistake in it could cost: `low`, `medium` or `high`.
    impact: String,
    /// Incident types that it claims to cure.
    fixes: Vec<String>,
    /// Whether going back needs more than the code.
    undo: String,
    /// How many approvers must have signed before an agent installs it.
    approvals_required: i32,
    files: i32,
    bytes: i64,
    pack_bytes: i64,
    /// Its signed manifest without the files.
    manifest: Value,
    published_at: Timestamp,
    /// Since when ops keep it from being ordered, who did, and why.
    blocked_at: Option<Timestamp>,
    blocked_by: Option<String>,
    blocked_reason: Option<String>,
    /// When its revocation was signed, and why: agents refuse it from then on.
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<String>,
    /// Since when it is no longer among the signed releases.
    withdrawn_at: Option<Timestamp>,
    /// From how many plugins it is kept because it failed there.
    quarantined_on: i64,
    /// Whether it is kept from everybody.
    quarantined_everywhere: bool,
}

impl From<ReleaseFound> for ReleaseShown {
    fn from(found: ReleaseFound) -> Self {
        Self {
            state: match (found.withdrawn_at, found.revoked_at, found.blocked_at) {
                (Some(_), ..) => "withdrawn",
                (_, Some(_), _) => "revoked",
                (_, _, Some(_)) => "blocked",
                _ => "published",
            },
            product: found.product,
            version: found.version,
            digest: found.digest,
            impact: found.impact,
            fixes: found.fixes,
            undo: found.undo,
            approvals_required: found.approvals_required,
            files: found.files,
            bytes: found.bytes,
            pack_bytes: found.pack_bytes,
            manifest: found.manifest,
            published_at: found.published_at,
            blocked_at: found.blocked_at,
            blocked_by: found.blocked_by,
            blocked_reason: found.blocked_reason,
            revoked_at: found.revoked_at,
            revoked_reason: found.revoked_reason,
            withdrawn_at: found.withdrawn_at,
            quarantined_on: found.quarantined_on,
            quarantined_everywhere: found.quarantined_everywhere,
        }
    }
}

/// `GET /api/ops/releases/{product}/{version}`.
#[utoipa::path(
    get,
    path = "/api/ops/releases/{product}/{version}",
    tag = "releases",
    params(("product" = String, Path, description = "The product."), ("version" = String, Path, description = "The version.")),
    responses((status = 200, description = "The release.", body = ReleaseShown))
)]
pub async fn show(
    State(state): State<AppState>,
    _caller: Caller,
    Path((product, version)): Path<(String, String)>,
) -> Result<Json<ReleaseShown>, ApiError> {
    let product: Product = id_in_path(&product, "release")?;
    let version: semver::Version = id_in_path(&version, "release")?;
    let found = store::release::find(&state.db, &product, &version).await?;
    let found = found.ok_or_else(|| ApiError::not_found("unknown_release", "There is no such release"))?;
    Ok(Json(found.into()))
}

/// A block, or its end.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    reason: String,
    #[serde(default)]
    lift: bool,
}

/// How a release stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[expect(clippy::struct_field_names, reason = "the field is what people ask for")]
pub struct Blocked {
    product: Product,
    #[schema(value_type = String)]
    version: semver::Version,
    blocked: bool,
    /// Waiting orders that were ended by it.
    orders_ended: usize,
}

/// `POST /api/ops/releases/{product}/{version}/block`.
#[utoipa::path(
    post,
    path = "/api/ops/releases/{product}/{version}/block",
    tag = "releases",
    params(("product" = String, Path, description = "The product."), ("version" = String, Path, description = "The version.")),
    request_body = Block,
    responses((status = 200, description = "How it stands then.", body = Blocked))
)]
pub async fn block(
    State(state): State<AppState>,
    caller: Caller,
    Path((product, version)): Path<(String, String)>,
    JsonBody(block): JsonBody<Block>,
) -> Result<Json<Blocked>, ApiError> {
    let product: Product = id_in_path(&product, "release")?;
    let version: semver::Version = id_in_path(&version, "release")?;
    if block.reason.trim().is_empty() || block.reason.len() > MAX_REASON {
        return Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail(format!("reason is 1 to {MAX_REASON} bytes")));
    }
    let release = (&product, &version);
    let now = state.clock.now();
    let ended = release::block(&state.db, &actor(&caller), release, &block.reason, block.lift, now).await?;
    Ok(Json(Blocked {
        product,
        version,
        blocked: !block.lift,
        orders_ended: ended.len(),
    }))
}

impl From<RepoError> for ApiError {
    fn from(error: RepoError) -> Self {
        if !error.is_senders() {
            return Self::internal(error);
        }
        let (status, code) = match &error {
            RepoError::UploadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            RepoError::BrokenUpload(_) => (StatusCode::BAD_REQUEST, "truncated_body"),
            RepoError::Overtaken => (StatusCode::CONFLICT, "overtaken"),
            RepoError::WrongUpload => (StatusCode::UNPROCESSABLE_ENTITY, "wrong_upload"),
            RepoError::MissingFile(_) => (StatusCode::UNPROCESSABLE_ENTITY, "missing_upload"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "release_refused"),
        };
        let words = format!("{:#}", anyhow::Error::from(error));
        Self::problem(status, code, "The release is refused; nothing was published").detail(words)
    }
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Repo(error) => error.into(),
            ReleaseError::Store(error) => error.into(),
            ReleaseError::Unknown(..) => Self::not_found("unknown_release", "There is no such release"),
        }
    }
}
