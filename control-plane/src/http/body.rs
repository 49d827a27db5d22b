//! Bodies: bounded, JSON, and refused in words that a person can act on.

use std::borrow::Cow;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use plugmend_shared::protocol::{MAX_BODY_BYTES, problem::codes};
use serde::de::DeserializeOwned;

use super::ApiError;

/// A JSON body of at most [`MAX_BODY_BYTES`].
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        is_json(request.headers())?;
        let bytes = read(request.into_body(), MAX_BODY_BYTES).await?;
        parse(&bytes).map(Self)
    }
}

/// Checks that a body is not said to be something else than JSON. Senders that say nothing are believed.
///
/// # Errors
/// 415 when it is.
pub fn is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(said) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    // What command-line clients say of everything, unless told otherwise.
    let unsaid = "application/x-www-form-urlencoded";
    if essence == "application/json" || essence.ends_with("+json") || essence == unsaid {
        return Ok(());
    }
    Err(ApiError::problem(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body is not of the type that is wanted",
    )
    .detail("application/json is taken"))
}

/// Reads a body to its end, as long as it is no longer than `limit` bytes.
///
/// # Errors
/// 413 when it is longer (whatever its `Content-Length` says), 400 when it breaks off.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(_) => Err(ApiError::bad_request("truncated_body", "The body broke off")),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
        .detail(format!("at most {limit} bytes are taken"))
}

/// Reads JSON. A NUL character in a text comes out as U+FFFD: Postgres can not store it, and to refuse it would let a
/// plugin silence its agent, or a program's last words keep an order's end from being told.
///
/// # Errors
/// 400 `missing_required_fields` when a field is not there, `malformed_json` when it is not JSON (not UTF-8, nested
/// too deeply, cut off), `invalid_field` when a field holds something else than it should.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(&without_nul(bytes)).map_err(|error| refuse(&error))
}

/// The same JSON with each escaped NUL (RFC 8259 section 7) replaced. As a character it is no JSON and is refused anyway.
fn without_nul(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut replaced = Cow::Borrowed(bytes);
    let mut at = 0;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        at += found;
        // What stands behind a backslash is escaped by it, also when it is a backslash.
        if bytes[at..].starts_with(NUL_ESCAPE) {
            replaced.to_mut()[at..at + NUL_ESCAPE.len()].copy_from_slice(REPLACEMENT_ESCAPE);
        }
        at += 2;
    }
    replaced
}

/// Reads a type out of JSON that was read before.
///
/// # Errors
/// As [`parse`].
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|error| refuse(&error))
}

const NUL_ESCAPE: &[u8] = b"\\u0000";
const REPLACEMENT_ESCAPE: &[u8] = b"\\ufffd";

fn refuse(error: &serde_json::Error) -> ApiError {
    let words = error.to_string();
    let (code, title) = if error.is_data() && words.starts_with("missing field") {
        (codes::MISSING_FIELDS, "A required field is missing")
    } else if error.is_data() {
        ("invalid_field", "A field can not be read")
    } else {
        ("malformed_json", "The body is not JSON")
    };
    // serde's words name the field and the place, and repeat at most the offending value: cut, so that a hostile value
    // does not fill the log.
    ApiError::bad_request(code, title).detail(words.chars().take(300).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_character_comes_out_as_the_replacement_character() {
        let read: String = parse(br#""a\u0000b""#).unwrap();
        assert_eq!(read, "a\u{fffd}b");
    }

    #[test]
    fn the_six_characters_themselves_are_a_text_like_any_other() {
        for (json, text) in [
            (r#""\\u0000""#, r"\u0000"),
            (r#""\\\u0000""#, "\\\u{fffd}"),
            (r#""u0000""#, "u0000"),
            (r#""\\\\u0000 \"""#, r#"\\u0000 ""#),
        ] {
            assert_eq!(parse::<String>(json.as_bytes()).unwrap(), text, "{json}");
        }
        assert!(parse::<String>(b"\"\\").is_err());
        assert!(parse::<String>(b"\"a\0b\"").is_err());
    }
}
