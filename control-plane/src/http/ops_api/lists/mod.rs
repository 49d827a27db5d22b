//! Lists, as people and the console leaf through them: a page at a time, by cursor, filtered, narrowed to what the caller may
//! see.

pub mod agents;
pub mod attempts;
pub mod audit;
pub mod commands;
pub mod incidents;
pub mod plugins;

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;

use crate::{
    domain::page::Cursor,
    http::{ApiError, AppState},
    store::lists::{MAX_TEXT, Meant, meant},
};

const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 500;
/// The longest word that a filter takes, in bytes.
const MAX_WORD: usize = 200;

/// How many entries a page has.
fn page(limit: Option<u16>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE).into()
}

/// One more than a page has: whether there is a next one shows.
fn one_more(page: usize) -> i64 {
    i64::try_from(page + 1).unwrap_or(1)
}

fn refused(detail: impl Into<String>) -> ApiError {
    ApiError::bad_request("invalid_query", "The query string can not be read").detail(detail)
}

/// Refuses a word that means nothing, rather than to answer with an empty list.
fn known(word: Option<&str>, field: &str, is_known: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    match word {
        Some(word) if !is_known(word) => Err(refused(format!(
            "'{}' is no {field}",
            word.chars().take(40).collect::<String>()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a word that is longer than any of ours.
fn short(word: Option<&str>, field: &str) -> Result<(), ApiError> {
    match word {
        Some(word) if word.len() > MAX_WORD => Err(refused(format!("{field} is at most {MAX_WORD} bytes"))),
        _ => Ok(()),
    }
}

/// Reads the place to go on from.
fn after(text: Option<&str>) -> Result<Option<Cursor>, ApiError> {
    text.map(|text| Cursor::decode(text).map_err(|error| refused(error.to_string())))
        .transpose()
}

/// Refuses moments that no entry can have.
fn moment(at: Option<Timestamp>, field: &str) -> Result<Option<Timestamp>, ApiError> {
    match at {
        Some(at) if at < Timestamp::UNIX_EPOCH => Err(refused(format!("{field} lies before 1970"))),
        _ => Ok(at),
    }
}

/// What a text means to somebody who sees one merchant, or all.
async fn search(state: &AppState, text: Option<&str>, scope: Option<MerchantId>) -> Result<Option<Meant>, ApiError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > MAX_TEXT {
        return Err(refused(format!("q is at most {MAX_TEXT} bytes")));
    }
    Ok(Some(meant(&state.db, text, scope.map(|id| id.0)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_bounds() {
        assert_eq!([None, Some(0), Some(7), Some(9999)].map(page), [50, 1, 7, 500]);
    }
}
