//! The console's built files. A release holds them in itself; a development build reads them from the folder each time,
//! so that the console can be built anew without the server.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use rust_embed::RustEmbed;

use super::headers;

/// A year, in seconds: what has its content's hash in its name never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

#[derive(RustEmbed)]
#[folder = "console/dist/"]
#[allow_missing = true]
struct Files;

/// A file's bytes.
pub fn read(path: &str) -> Option<Cow<'static, [u8]>> {
    Files::get(path).map(|file| file.data)
}

/// A file below `assets`, packed where the browser takes that.
pub fn asset(path: &str, asked: &HeaderMap) -> Option<Response> {
    let kind = kind(path)?;
    let name = format!("assets/{path}");
    let packed = takes_gzip(asked).then(|| read(&format!("{name}.gz"))).flatten();
    let is_packed = packed.is_some();
    let bytes = match packed {
        Some(bytes) => bytes,
        None => read(&name)?,
    };
    let mut answer = Response::new(match bytes {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    });
    let told = answer.headers_mut();
    headers::plain(told);
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    told.insert(header::CACHE_CONTROL, FOREVER);
    told.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        told.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(answer)
}

/// What a name's ending says; nothing else is served.
fn kind(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

/// RFC 9110 section 12.5.3, as far as browsers use it: `gzip` among what is taken, and not with weight zero.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let taken = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    taken.unwrap_or_default().split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(taken: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(taken).unwrap())])
    }

    #[test]
    fn packed_files_go_to_those_who_take_them() {
        for taken in ["gzip", "br, GZIP;q=0.5", "deflate, gzip"] {
            assert!(takes_gzip(&asking(taken)), "{taken}");
        }
        for taken in ["", "br", "gzip;q=0", "identity"] {
            assert!(!takes_gzip(&asking(taken)), "{taken}");
        }
    }

    #[test]
    fn nothing_but_the_consoles_own_files_is_served() {
        for path in [
            "../index.html",
            "../../Cargo.toml",
            "x.gz",
            "README.md",
            "nothing.js",
            "/etc/passwd",
            "%2e%2e/x.js",
        ] {
            assert!(asset(path, &asking("gzip")).is_none(), "{path}");
        }
    }
}
