//! `GET /api/openapi.json`, and `/api/docs` for reading it.

use axum::{
    Extension, Router,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::complete;
use crate::http::AppState;

/// Where the document is.
const PLACE: &str = "/api/openapi.json";
/// The pages' own scripts, and nothing from elsewhere; they style themselves in line.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// The routes of the document, and of the pages that show it.
pub fn router() -> OpenApiRouter<AppState> {
    let pages: Router<AppState> = SwaggerUi::new("/api/docs").config(Config::from(PLACE)).into();
    let pages = pages.layer(SetResponseHeaderLayer::overriding(
        header::CONTENT_SECURITY_POLICY,
        POLICY,
    ));
    OpenApiRouter::default()
        .routes(routes!(show))
        .merge(OpenApiRouter::from(pages))
}

/// The document, as it is served.
#[derive(Clone)]
pub struct Document(Bytes);

impl Document {
    /// Of everything that was gathered.
    ///
    /// # Errors
    /// Never, for what is made of text.
    pub fn new(gathered: OpenApi) -> Result<Self, serde_json::Error> {
        // By way of a value its keys are sorted: extensions would stand in another order in each process.
        let mut text = serde_json::to_string_pretty(&serde_json::to_value(complete(gathered))?)?;
        text.push('\n');
        Ok(Self(text.into()))
    }

    /// Its JSON.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "openapi",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
async fn show(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.0).into_response()
}
