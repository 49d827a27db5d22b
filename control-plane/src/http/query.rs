//! Query strings, refused in words that a person can act on.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::ApiError;

/// The query string, read into `T`.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        // Postgres can not hold it, and no honest text does.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(
                ApiError::bad_request("invalid_query", "The query string can not be read")
                    .detail("it holds a NUL character"),
            );
        }
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|error| {
                ApiError::bad_request("invalid_query", "The query string can not be read").detail(error.body_text())
            })
    }
}
