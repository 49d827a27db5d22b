//! What is answered to an order.

use plugmend_shared::protocol::command::{Outcome, OutcomeStatus};

use crate::{
    domain::{change::Failure, installed::Tree},
    store::ledger::StoredResult,
};

/// The code of a change that was called back.
pub(super) const ASKED_TO_GO_BACK: &str = "asked_to_go_back";

/// How an order ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// It was carried out (also: it was so already).
    Ack(Outcome),
    /// It was not carried out, or was taken back.
    Fail {
        /// A code and words: `code: words`.
        error: String,
        /// Whether trying again could help.
        retryable: bool,
        /// How far it went.
        result: Outcome,
    },
    /// The agent is stopping; the next start goes on where this left off and answers then.
    Stopped,
}

impl Ended {
    /// A failure, as answered.
    pub(super) fn fail(failure: &Failure, result: Outcome) -> Self {
        Self::Fail {
            error: format!("{}: {}", failure.code, failure.words),
            retryable: failure.retryable,
            result,
        }
    }

    /// From the ledger; `None` when a newer agent wrote what this one can not read.
    pub(super) fn from_stored(stored: &StoredResult) -> Option<Self> {
        let outcome: Outcome = serde_json::from_value(stored.outcome.clone()).ok()?;
        Some(match &stored.error {
            None => Self::Ack(outcome),
            Some((error, retryable)) => Self::Fail {
                error: error.clone(),
                retryable: *retryable,
                result: outcome,
            },
        })
    }

    /// Whether the release before runs because of this: the change was taken back or never came to run, or was itself a
    /// way back.
    pub fn led_back(&self) -> bool {
        match self {
            Self::Ack(outcome) => outcome.status == OutcomeStatus::Committed && outcome.version < outcome.from_version,
            Self::Fail { error, result, .. } => {
                result.status == OutcomeStatus::Reverted || error.starts_with(ASKED_TO_GO_BACK)
            }
            Self::Stopped => false,
        }
    }

    /// Whether the same order, come again, gets this answer again. A failure that may pass is tried anew.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Ack(_) => true,
            Self::Fail { retryable, .. } => !retryable,
            Self::Stopped => false,
        }
    }
}

/// An outcome that says what is installed; the rest is filled in by who knows it.
pub(super) fn outcome(status: OutcomeStatus, installed: &Tree, explanation: impl Into<String>) -> Outcome {
    Outcome {
        status,
        version: Some(installed.version.clone()),
        release_digest: installed.digest,
        from_version: None,
        health_check_passed: None,
        error_rate_before: None,
        error_rate_after: None,
        settings_before: None,
        bytes_fetched: 0,
        timings_ms: std::collections::BTreeMap::new(),
        explanation: explanation.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: OutcomeStatus, from: &str, to: &str) -> Outcome {
        let tree = Tree {
            name: String::new(),
            ino: 1,
            version: to.parse().unwrap(),
            digest: None,
        };
        Outcome {
            from_version: Some(from.parse().unwrap()),
            ..outcome(status, &tree, "")
        }
    }

    #[test]
    fn only_what_led_back_is_told_as_a_way_back() {
        let fail = |failure: &Failure, status| Ended::fail(failure, of(status, "1.0.0", "1.0.0"));
        let asked = Failure::lasting(ASKED_TO_GO_BACK, "");
        let sick = Failure::harmful("probe_fatal", "");
        let refused = Failure::passing("unreachable", "");
        assert!(fail(&asked, OutcomeStatus::Refused).led_back());
        assert!(fail(&sick, OutcomeStatus::Reverted).led_back());
        assert!(Ended::Ack(of(OutcomeStatus::Committed, "2.0.0", "1.0.0")).led_back());
        assert!(!fail(&refused, OutcomeStatus::Refused).led_back(), "nothing was begun");
        assert!(
            !Ended::Ack(of(OutcomeStatus::Committed, "1.0.0", "2.0.0")).led_back(),
            "it stays"
        );
        assert!(!Ended::Ack(of(OutcomeStatus::Unchanged, "1.0.0", "1.0.0")).led_back());
        assert!(!Ended::Stopped.led_back());
    }
}
