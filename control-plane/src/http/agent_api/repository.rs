//! `/repo/metadata/<file>` and `/repo/targets/<path>`: the release repository, static, with range requests.
//!
//! Everything but `timestamp.json` has its version or its hash in its name and never changes: caches keep it for ever.

use std::ops::Range;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use plugmend_shared::ids::Digest;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Agent;
use crate::http::{ApiError, AppState};

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Agents ask anew each time, and a cache may only answer when it has asked too.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The files, for the staging runner on port 8112.
pub fn runners_router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(metadata_for_runner))
        .routes(routes!(target_for_runner))
}

/// A metadata file.
pub(super) async fn metadata(
    State(state): State<AppState>,
    _agent: Agent,
    path: Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    metadata_for_runner(State(state), path, headers).await
}

/// The same for a staging runner, who has no certificate and was let in by its token.
#[utoipa::path(
    get,
    path = "/repo/metadata/{file}",
    tag = "repository",
    params(("file" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Signed metadata.", body = Object))
)]
pub async fn metadata_for_runner(
    State(state): State<AppState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let bytes = state.repo.metadata(&name).await?.ok_or_else(nothing)?;
    let tag = tag(&Digest::of(&bytes));
    let cache = if name == "timestamp.json" { ASK_AGAIN } else { FOR_EVER };
    let plan = Plan::of(&headers, &tag, bytes.len() as u64);
    let part = match &plan {
        Plan::Part(range) | Plan::Whole(range) => slice(&bytes, range),
        Plan::Unchanged | Plan::Unsatisfiable => bytes::Bytes::new(),
    };
    Ok(answer(
        &plan,
        bytes.len() as u64,
        &tag,
        cache,
        "application/json",
        part.into(),
    ))
}

/// A target file, by its path with hash.
pub(super) async fn target(
    State(state): State<AppState>,
    _agent: Agent,
    path: Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    target_for_runner(State(state), path, headers).await
}

/// The same for a staging runner.
#[utoipa::path(
    get,
    path = "/repo/targets/{*path}",
    tag = "repository",
    params(("path" = String, Path, description = "Its path with hash.")),
    responses((status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub async fn target_for_runner(
    State(state): State<AppState>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = state.repo.target(&path).await?.ok_or_else(nothing)?;
    let tag = tag(&file.sha256);
    let plan = Plan::of(&headers, &tag, file.len);
    let body = match &plan {
        Plan::Part(range) | Plan::Whole(range) => Body::from_stream(file.read(range.clone()).await?),
        Plan::Unchanged | Plan::Unsatisfiable => Body::empty(),
    };
    Ok(answer(
        &plan,
        file.len,
        &tag,
        FOR_EVER,
        "application/octet-stream",
        body,
    ))
}

fn nothing() -> ApiError {
    ApiError::not_found("unknown_file", "The repository has no such file")
}

fn slice(bytes: &bytes::Bytes, range: &Range<u64>) -> bytes::Bytes {
    let span = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    span.filter(|(_, end)| *end <= bytes.len())
        .map_or_else(bytes::Bytes::new, |(start, end)| bytes.slice(start..end))
}

/// A strong entity tag: the content's own hash.
fn tag(sha256: &Digest) -> String {
    format!("\"{sha256}\"")
}

/// What to answer (RFC 9110 sections 13 and 14).
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Whole(Range<u64>),
    Part(Range<u64>),
    Unchanged,
    Unsatisfiable,
}

impl Plan {
    fn of(headers: &HeaderMap, tag: &str, len: u64) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let known = |list: &str| list.trim() == "*" || list.split(',').any(|one| one.trim() == tag);
        if text(header::IF_NONE_MATCH).is_some_and(known) {
            return Self::Unchanged;
        }
        // A range of something else than the sender has seen would be of no use: give all.
        let same = text(header::IF_RANGE).is_none_or(|seen| seen.trim() == tag);
        let asked = text(header::RANGE).filter(|_| same);
        asked
            .and_then(|range| Self::part(range, len))
            .unwrap_or(Self::Whole(0..len))
    }

    /// One range of bytes; `None` for what we do not do (several ranges, other units), which means the whole file.
    fn part(text: &str, len: u64) -> Option<Self> {
        let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let range = match (first, last) {
            ("", last) => len.saturating_sub(number(last)?)..len,
            (first, "") => number(first)?..len,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                first..last.saturating_add(1).min(len)
            }
        };
        Some(if range.start < range.end {
            Self::Part(range)
        } else {
            Self::Unsatisfiable
        })
    }
}

fn answer(plan: &Plan, len: u64, tag: &str, cache: HeaderValue, kind: &'static str, body: Body) -> Response {
    let (status, sent, range) = match plan {
        Plan::Whole(_) => (StatusCode::OK, len, None),
        Plan::Part(r) => {
            let words = format!("bytes {}-{}/{len}", r.start, r.end - 1);
            (StatusCode::PARTIAL_CONTENT, r.end - r.start, Some(words))
        }
        Plan::Unchanged => (StatusCode::NOT_MODIFIED, 0, None),
        Plan::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0, Some(format!("bytes */{len}"))),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent));
    }
    let texts = [(header::ETAG, Some(tag.to_owned())), (header::CONTENT_RANGE, range)];
    for (name, text) in texts {
        if let Some(value) = text.and_then(|t| HeaderValue::from_str(&t).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(pairs: &[(header::HeaderName, &str)]) -> Plan {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        Plan::of(&headers.collect(), "\"t\"", 100)
    }

    #[test]
    fn ranges_are_cut_from_the_file() {
        assert_eq!(plan(&[]), Plan::Whole(0..100));
        assert_eq!(plan(&[(header::RANGE, "bytes=0-9")]), Plan::Part(0..10));
        assert_eq!(plan(&[(header::RANGE, "bytes=90-")]), Plan::Part(90..100));
        assert_eq!(plan(&[(header::RANGE, "bytes=90-500")]), Plan::Part(90..100));
        assert_eq!(plan(&[(header::RANGE, "bytes=-5")]), Plan::Part(95..100));
        assert_eq!(plan(&[(header::RANGE, "bytes=-500")]), Plan::Part(0..100));
        assert_eq!(plan(&[(header::RANGE, "bytes=100-")]), Plan::Unsatisfiable);
        assert_eq!(plan(&[(header::RANGE, "bytes=-0")]), Plan::Unsatisfiable);
        for ignored in [
            "bytes=5-2",
            "bytes=1-2,4-5",
            "items=0-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes",
        ] {
            assert_eq!(plan(&[(header::RANGE, ignored)]), Plan::Whole(0..100), "{ignored}");
        }
    }

    #[test]
    fn a_range_of_another_version_gives_the_whole() {
        let range = (header::RANGE, "bytes=0-9");
        assert_eq!(plan(&[range.clone(), (header::IF_RANGE, "\"t\"")]), Plan::Part(0..10));
        assert_eq!(
            plan(&[range.clone(), (header::IF_RANGE, "\"old\"")]),
            Plan::Whole(0..100)
        );
        // Weak tags do not do for ranges.
        assert_eq!(plan(&[range, (header::IF_RANGE, "W/\"t\"")]), Plan::Whole(0..100));
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for list in ["\"t\"", "\"a\", \"t\"", "*"] {
            assert_eq!(plan(&[(header::IF_NONE_MATCH, list)]), Plan::Unchanged);
        }
        assert_eq!(plan(&[(header::IF_NONE_MATCH, "\"a\"")]), Plan::Whole(0..100));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(range in "bytes=[0-9]{0,22}-[0-9]{0,22}", len in 0u64..1000) {
            if let Some(Plan::Part(range)) = Plan::part(&range, len) {
                prop_assert!(range.start < range.end && range.end <= len);
            }
        }
    }
}
