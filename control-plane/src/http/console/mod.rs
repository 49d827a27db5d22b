//! The console for people: static files that `make build` puts into the binary, and what a browser is told about them.

mod files;
mod headers;
mod sign_in;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

pub use sign_in::SignIn;

use super::ApiError;
use crate::service::Entropy;

/// The first parts of the console's own addresses, as `src/app/pages.ts` of the console has them; a test compares.
const PAGES: [&str; 11] = [
    "approvals",
    "attempts",
    "audit",
    "incidents",
    "kpis",
    "merchants",
    "plugins",
    "policy",
    "releases",
    "signed-in",
    "webhooks",
];
/// What the built page has where a nonce belongs; see `vite.config.js`.
const NONCE: &str = "__CSP_NONCE__";
/// Where the page stands among the files.
const PAGE: &str = "index.html";
const MISSING: &str = include_str!("missing.html");

#[derive(Debug, Clone)]
struct Console {
    sign_in: Option<SignIn>,
    entropy: Entropy,
}

/// The console at `/`, its files below `/assets`, and what it needs to know before anybody signed in.
pub fn router(sign_in: Option<SignIn>) -> Router {
    let mut router = Router::new()
        .route("/", get(page))
        .route("/console.json", get(settings))
        .route("/assets/{*path}", get(asset));
    for name in PAGES {
        router = router
            .route(&format!("/{name}"), get(page))
            .route(&format!("/{name}/{{*rest}}"), get(page));
    }
    router.with_state(Console {
        sign_in,
        entropy: Entropy::new(),
    })
}

/// The one page; which of the console's pages it shows is the address's business.
async fn page(State(console): State<Console>) -> Result<Response, ApiError> {
    let built = files::read(PAGE).and_then(|file| String::from_utf8(file.into_owned()).ok());
    let nonce = STANDARD.encode(console.entropy.bytes::<16>()?);
    Ok(shown(built.as_deref(), &nonce, console.sign_in.as_ref()))
}

fn shown(built: Option<&str>, nonce: &str, sign_in: Option<&SignIn>) -> Response {
    let (status, text) = match built {
        Some(text) => (StatusCode::OK, text.replace(NONCE, nonce)),
        None => (StatusCode::NOT_FOUND, MISSING.to_owned()),
    };
    let mut answer = (status, axum::response::Html(text)).into_response();
    let told = answer.headers_mut();
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers::protect(told, nonce, sign_in);
    answer
}

/// How one signs in here; nothing secret.
async fn settings(State(console): State<Console>) -> Response {
    let mut answer = Json(serde_json::json!({ "sign_in": console.sign_in })).into_response();
    let told = answer.headers_mut();
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers::plain(told);
    answer
}

/// A file whose name says what is in it: it may be kept for ever.
async fn asset(Path(path): Path<String>, asked: HeaderMap) -> Result<Response, ApiError> {
    files::asset(&path, &asked).ok_or_else(|| ApiError::not_found("unknown_path", "There is nothing at this path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_the_console_says_how_to_get_it() {
        let answer = shown(None, "n", None);
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert!(MISSING.contains("make build") && MISSING.contains("make console"));
    }

    #[test]
    fn each_answer_has_a_nonce_of_its_own_and_is_asked_for_again() {
        let answer = shown(Some("<script nonce=\"__CSP_NONCE__\">"), "abc", None);
        let told = answer.headers();
        assert_eq!(told[header::CACHE_CONTROL], "no-cache");
        let policy = told[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("'nonce-abc'") && !policy.contains("unsafe-inline"),
            "{policy}"
        );
    }

    #[test]
    fn the_console_and_the_server_know_the_same_addresses() {
        let theirs = include_str!("../../../console/src/app/pages.ts");
        for page in PAGES {
            assert!(
                theirs.contains(&format!("\"/{page}\"")),
                "pages.ts does not know /{page}"
            );
        }
        for path in theirs
            .split("path: \"/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            let first = path.split('/').next().unwrap_or_default();
            assert!(first.is_empty() || PAGES.contains(&first), "/{first} is not served");
        }
    }
}
