//! Errors on the wire: `application/problem+json` (RFC 9457).

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error that a program can branch on (`code`) and a person can read (`title`, `detail`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `about:blank`, or the documentation of `code`.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// What went wrong, the same words for the same `code`.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time and what to do next; never a secret, never an internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Stable, for programs: `missing_required_fields`, `unauthorized_plugin`, `identity_fenced`, ...
    #[serde(rename = "error")]
    pub code: String,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl Problem {
    /// A problem with its code, title and status.
    pub fn new(status: u16, code: &str, title: &str) -> Self {
        Self {
            kind: about_blank(),
            title: title.to_owned(),
            status,
            detail: None,
            code: code.to_owned(),
        }
    }

    /// The same with what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Codes that agents branch on.
pub mod codes {
    /// The certificate was revoked: enrol anew.
    pub const REVOKED: &str = "certificate_revoked";
    /// The certificate has expired: renew, and do nothing else.
    pub const EXPIRED: &str = "certificate_expired";
    /// Two hosts use this identity: both stop until a person enrols one anew.
    pub const FENCED: &str = "identity_fenced";
    /// No client certificate was shown where one is needed.
    pub const CERTIFICATE_REQUIRED: &str = "client_certificate_required";
    /// The certificate is from the right CA, but not one that the control plane remembers.
    pub const CERTIFICATE_UNKNOWN: &str = "certificate_unknown";
    /// The enrolment token is wrong, spent, expired, or made for something else.
    pub const TOKEN_REFUSED: &str = "enrolment_token_refused";
    /// The certificate request is malformed, too long, or its key is of a kind that is not let in.
    pub const CSR_REFUSED: &str = "certificate_request_refused";
    /// Too many requests from this identity or address.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// The order is unknown, or another plugin's.
    pub const UNKNOWN_COMMAND: &str = "unknown_command";
    /// The order has ended already; nothing more to say about it.
    pub const COMMAND_ENDED: &str = "command_ended";
    /// A required field is missing (reference system).
    pub const MISSING_FIELDS: &str = "missing_required_fields";
    /// The plugin is not who it says it is (reference system).
    pub const UNAUTHORIZED: &str = "unauthorized_plugin";
}
