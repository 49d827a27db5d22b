//! Refusals that an endpoint names beside its answer. Those that every endpoint has come from its row and its shape.

use std::collections::BTreeMap;

use plugmend_shared::protocol::problem::PROBLEM_JSON;
use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

/// 404 where no id is in the path: something that the body names is not there, or not for who asks.
#[derive(Debug)]
pub struct Absent;

/// 409: not in the present state, or an `Idempotency-Key` that was used for something else.
#[derive(Debug)]
pub struct Conflict;

/// 412 and 428: changed by someone else since it was read, or nothing is said of what was read (`If-Match`).
#[derive(Debug)]
pub struct Changed;

/// 422: it can be read, and is refused for what it says.
#[derive(Debug)]
pub struct Unprocessable;

/// Every refusal that the document knows: status, name in its components, words.
pub(super) const REFUSALS: [(&str, &str, &str); 14] = [
    (
        "400",
        "BadRequest",
        "The request says what can not be, or can not be read.",
    ),
    ("401", "Unauthorized", "Who asks could not be established."),
    ("403", "Forbidden", "The roles of who asks do not allow this."),
    ("404", "NotFound", "There is no such thing, or not for who asks."),
    (
        "409",
        "Conflict",
        "Not in the present state, or the Idempotency-Key was used for something else.",
    ),
    ("412", "Changed", "Changed by someone else since it was read."),
    ("413", "TooLarge", "The body is too large."),
    ("415", "MediaType", "The body is not of the type that is wanted."),
    ("416", "Range", "The range is not within the file."),
    (
        "422",
        "Unprocessable",
        "It can be read, and is refused for what it says.",
    ),
    ("428", "NotSeen", "Which one was looked at is not said (If-Match)."),
    ("429", "TooMany", "Too many requests; Retry-After says when to go on."),
    ("500", "Internal", "Something went wrong on our side."),
    (
        "503",
        "Busy",
        "Not now; Retry-After says when to try again. Nothing was taken.",
    ),
];

/// A reference to the refusal with this status.
pub(super) fn refusal(status: &str) -> Option<RefOr<Response>> {
    let (_, name, _) = REFUSALS.iter().find(|(known, ..)| *known == status)?;
    Some(RefOr::Ref(Ref::from_response_name(*name)))
}

/// What the references refer to.
pub(super) fn components() -> impl Iterator<Item = (String, RefOr<Response>)> {
    REFUSALS.iter().map(|(_, name, words)| {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description(*words)
            .content(PROBLEM_JSON, content);
        ((*name).to_owned(), RefOr::T(response.build()))
    })
}

fn only(status: &str) -> BTreeMap<String, RefOr<Response>> {
    refusal(status)
        .map(|refusal| (status.to_owned(), refusal))
        .into_iter()
        .collect()
}

impl IntoResponses for Absent {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        only("404")
    }
}

impl IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        only("409")
    }
}

impl IntoResponses for Changed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut both = only("412");
        both.extend(only("428"));
        both
    }
}

impl IntoResponses for Unprocessable {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        only("422")
    }
}
