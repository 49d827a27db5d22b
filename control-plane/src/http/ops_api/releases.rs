//! Releases: uploaded, published, listed, blocked.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
};
use plugmend_shared::ids::{Digest, Product};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::write::{actor, id_in_path};
use crate::{
    http::{
        ApiError, AppState, JsonBody, QueryParams,
        auth::{Operator, PayAdmin},
        body,
    },
    repo::{RepoError, Submission},
    service::release::{self, PublishedView, ReleaseError},
    store::{self, release::ReleaseView},
};

/// The largest submission: signed metadata of every product, in bytes.
const MAX_SUBMISSION: usize = 32 * 1024 * 1024;
/// The longest reason, in bytes.
const MAX_REASON: usize = 500;

/// `GET /api/ops/releases/blobs/{sha256}`: whether a file was uploaded.
pub async fn uploaded(
    State(state): State<AppState>,
    PayAdmin(_): PayAdmin,
    Path(sha256): Path<String>,
) -> Result<StatusCode, ApiError> {
    let sha256: Digest = id_in_path(&sha256, "upload")?;
    if state.repo.has_upload(&sha256).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("unknown_upload", "There is no such upload"))
    }
}

/// `PUT /api/ops/releases/blobs/{sha256}`: a file of a release, as a stream.
pub async fn upload(
    State(state): State<AppState>,
    PayAdmin(_): PayAdmin,
    Path(sha256): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let sha256: Digest = id_in_path(&sha256, "upload")?;
    let bytes = state.repo.upload(&sha256, body.into_data_stream()).await?;
    Ok((StatusCode::CREATED, Json(json!({ "sha256": sha256, "bytes": bytes }))))
}

/// Signed metadata.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSubmission {
    #[serde(default)]
    roots: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// `POST /api/ops/releases/publish`.
pub async fn publish(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
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
        release::publish(&state.db, &state.repo, &actor(&operator), submission, now).await?,
    ))
}

/// What to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    product: Option<Product>,
    /// Begin behind this release, `product~version`.
    after: Option<String>,
    limit: Option<i64>,
}

/// One page.
#[derive(Debug, Serialize)]
pub struct Page {
    releases: Vec<ReleaseView>,
    /// What `after` takes to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/ops/releases`.
pub async fn list(
    State(state): State<AppState>,
    _operator: Operator,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<Page>, ApiError> {
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
    Ok(Json(Page { releases, next }))
}

/// A block, or its end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    reason: String,
    #[serde(default)]
    lift: bool,
}

/// `POST /api/ops/releases/{product}/{version}/block`.
pub async fn block(
    State(state): State<AppState>,
    PayAdmin(operator): PayAdmin,
    Path((product, version)): Path<(String, String)>,
    JsonBody(block): JsonBody<Block>,
) -> Result<Json<Value>, ApiError> {
    let product: Product = id_in_path(&product, "release")?;
    let version: semver::Version = id_in_path(&version, "release")?;
    if block.reason.trim().is_empty() || block.reason.len() > MAX_REASON {
        return Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail(format!("reason is 1 to {MAX_REASON} bytes")));
    }
    let release = (&product, &version);
    let now = state.clock.now();
    let ended = release::block(&state.db, &actor(&operator), release, &block.reason, block.lift, now).await?;
    Ok(Json(
        json!({ "product": product, "version": version, "blocked": !block.lift, "orders_ended": ended.len() }),
    ))
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
