//! Which release a way back leads to when the order names none: "the one before", seen from where its giver stood. A
//! change that did not come to stay has brought that release back already; going back once more would go one further.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Failure;

/// What is remembered of changes that did not come to stay, since the last that did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// When the last of them ended.
    pub at: Timestamp,
    /// The last release that ran, and was taken back.
    pub reverted: Option<semver::Version>,
}

impl Undone {
    /// With one more that ended `at`; `reverted` is its release, when that ran.
    #[must_use]
    pub fn and(before: Option<&Self>, at: Timestamp, reverted: Option<semver::Version>) -> Self {
        let known = || before.and_then(|undone| undone.reverted.clone());
        Self {
            at,
            reverted: reverted.or_else(known),
        }
    }
}

/// What an order to go back that names no release comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unnamed {
    /// To the release before.
    GoBack,
    /// What it was to take back is gone already: nothing is to be done.
    AlreadyBack,
}

/// Judges at `now`. `received_at` is when the order came; absent when a person on the host asks now.
///
/// # Errors
/// It can not be told which release is meant: the plugin stays as it is.
pub fn unnamed(undone: Option<&Undone>, received_at: Option<Timestamp>, now: Timestamp) -> Result<Unnamed, Failure> {
    let Some(undone) = undone else {
        return Ok(Unnamed::GoBack);
    };
    if now < undone.at && received_at.is_some() {
        let words = "the host's clock was set back since a change was taken back or refused, so that nobody can say                      whether this order came before or after it; name the version";
        return Err(Failure::lasting("clock_set_back", words));
    }
    if received_at.is_some_and(|received| received < undone.at) {
        return Ok(Unnamed::AlreadyBack);
    }
    match &undone.reverted {
        None => Ok(Unnamed::GoBack),
        Some(version) => Err(Failure::lasting(
            "already_back",
            format!("{version} was taken back already. To go back further, name the version"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_way_back_never_leads_further_than_its_giver_meant() {
        let version = semver::Version::new(2, 0, 0);
        let reverted = Undone::and(None, at(10), Some(version));
        let refused_later = Undone::and(Some(&reverted), at(20), None);
        let only_refused = Undone::and(None, at(20), None);
        let judged =
            |undone: Option<&Undone>, received| unnamed(undone, received, at(30)).map_err(|failure| failure.code);
        let ambiguous = || Err("already_back".to_owned());
        assert_eq!(judged(None, Some(at(5))), Ok(Unnamed::GoBack));
        assert_eq!(judged(Some(&reverted), Some(at(5))), Ok(Unnamed::AlreadyBack));
        assert_eq!(judged(Some(&reverted), Some(at(15))), ambiguous());
        assert_eq!(judged(Some(&reverted), None), ambiguous());
        assert_eq!(judged(Some(&refused_later), Some(at(15))), Ok(Unnamed::AlreadyBack));
        assert_eq!(judged(Some(&refused_later), Some(at(25))), ambiguous());
        assert_eq!(judged(Some(&only_refused), Some(at(15))), Ok(Unnamed::AlreadyBack));
        assert_eq!(judged(Some(&only_refused), Some(at(25))), Ok(Unnamed::GoBack));
    }

    #[test]
    fn an_order_is_never_called_done_because_a_clock_was_ahead() {
        let undone = Undone::and(None, at(86_400), None);
        let judged = unnamed(Some(&undone), Some(at(10)), at(20));
        assert_eq!(judged.unwrap_err().code, "clock_set_back");
        assert_eq!(unnamed(Some(&undone), None, at(20)).unwrap(), Unnamed::GoBack);
    }
}
