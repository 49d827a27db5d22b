//! What a browser may do with the console: run its own scripts, speak with this server, and nothing else. There is no
//! `Strict-Transport-Security` here, because this listener speaks plain HTTP; the proxy in front of it sets that.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::SignIn;

/// What every answer has.
pub fn plain(told: &mut HeaderMap) {
    let all: [(HeaderName, &'static str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in all {
        told.insert(name, HeaderValue::from_static(value));
    }
}

/// What the page has. Its scripts are files of ours; the few style sheets that the component library writes at run time
/// carry the answer's nonce.
pub fn protect(told: &mut HeaderMap, nonce: &str, sign_in: Option<&SignIn>) {
    plain(told);
    let elsewhere = sign_in
        .map(|sign_in| format!(" {}", sign_in.origin()))
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'{elsewhere}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         object-src 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        told.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let all: [(HeaderName, &'static str); 3] = [
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in all {
        told.insert(name, HeaderValue::from_static(value));
    }
}
