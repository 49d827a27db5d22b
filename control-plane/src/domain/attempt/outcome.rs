//! How the order of an attempt ended, read as what it means for the attempt.

use plugmend_shared::protocol::command::{Outcome, OutcomeStatus};
use serde_json::Value;

/// The end of an order, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandEnd {
    /// The plugin says that it was carried out.
    Completed {
        /// How it went: [`Outcome`] from an agent, anything from a plugin without one.
        result: Value,
    },
    /// The plugin, or we, say that it was not, or that it was taken back.
    Failed {
        /// `code: words`.
        error: String,
        /// How far it went.
        result: Option<Value>,
    },
    /// Nothing was heard in time.
    TimedOut {
        /// What was waited for.
        error: String,
        /// Whether it was ever handed over: else it can not have done anything.
        was_sent: bool,
    },
}

/// What it means.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The change is in force.
    Kept {
        /// The trial's verdict: healthy, unhealthy, or (none) inconclusive.
        healthy: Option<bool>,
        /// Share of failing requests before, 0 to 1.
        error_rate_before: Option<f64>,
        /// The same since.
        error_rate_after: Option<f64>,
        /// In words for people.
        words: String,
    },
    /// The change was made and taken back by the agent: the release is to blame.
    TakenBack {
        /// Why.
        why: String,
        /// Share of failing requests before, 0 to 1.
        error_rate_before: Option<f64>,
        /// The same while it was in force.
        error_rate_after: Option<f64>,
    },
    /// The host refused the release before it touched anything, for a reason that lies in the release.
    Rejected {
        /// Why.
        why: String,
    },
    /// Nothing was changed, and the release is not to blame.
    NotDone {
        /// Why.
        why: String,
    },
    /// Called off by people before it was begun.
    CalledOff {
        /// Why.
        why: String,
    },
    /// Nobody knows: the plugin fell silent. People must look.
    Unknown {
        /// What was waited for.
        why: String,
    },
}

/// Codes with which we or the agent say that an order was called off.
const CALLED_OFF: [&str; 2] = ["cancelled", "withdrawn"];
/// Codes of an agent for what lies in the release itself.
const RELEASES_FAULT: [&str; 9] = [
    "smoke_test_failed",
    "incompatible_environment",
    "incompatible_from",
    "quarantined",
    "bad_manifest",
    "bad_pack",
    "agent_too_old",
    "below_minimum",
    "revoked",
];

/// Reads the end of an attempt's order.
pub fn read_end(end: &CommandEnd) -> Ending {
    match end {
        CommandEnd::Completed { result } => completed(result),
        CommandEnd::Failed { error, result } => failed(error, result.as_ref()),
        CommandEnd::TimedOut { error, was_sent: true } => Ending::Unknown { why: error.clone() },
        CommandEnd::TimedOut { error, was_sent: false } => Ending::NotDone { why: error.clone() },
    }
}

fn completed(result: &Value) -> Ending {
    match serde_json::from_value::<Outcome>(result.clone()) {
        Ok(outcome) => match outcome.status {
            OutcomeStatus::Committed | OutcomeStatus::Unchanged => kept(outcome),
            OutcomeStatus::Reverted => taken_back(outcome.explanation.clone(), &outcome),
            OutcomeStatus::Refused => Ending::NotDone {
                why: outcome.explanation,
            },
        },
        // A plugin without agent says it in its own words.
        Err(_) => Ending::Kept {
            healthy: result.get("health_check_passed").and_then(Value::as_bool),
            error_rate_before: share(result, "error_rate_before"),
            error_rate_after: share(result, "error_rate_after"),
            words: String::new(),
        },
    }
}

fn failed(error: &str, result: Option<&Value>) -> Ending {
    let why = error.to_owned();
    let outcome = result.and_then(|result| serde_json::from_value::<Outcome>(result.clone()).ok());
    if let Some(outcome) = outcome.filter(|outcome| outcome.status == OutcomeStatus::Reverted) {
        return taken_back(why, &outcome);
    }
    let code = error.split(':').next().unwrap_or_default().trim();
    if CALLED_OFF.contains(&code) {
        Ending::CalledOff { why }
    } else if RELEASES_FAULT.contains(&code) {
        Ending::Rejected { why }
    } else {
        Ending::NotDone { why }
    }
}

fn kept(outcome: Outcome) -> Ending {
    Ending::Kept {
        healthy: outcome.health_check_passed,
        error_rate_before: possible(outcome.error_rate_before),
        error_rate_after: possible(outcome.error_rate_after),
        words: outcome.explanation,
    }
}

fn taken_back(why: String, outcome: &Outcome) -> Ending {
    Ending::TakenBack {
        why,
        error_rate_before: possible(outcome.error_rate_before),
        error_rate_after: possible(outcome.error_rate_after),
    }
}

fn share(result: &Value, field: &str) -> Option<f64> {
    possible(result.get(field).and_then(Value::as_f64))
}

/// A plugin may say anything; a share that is none says nothing.
fn possible(share: Option<f64>) -> Option<f64> {
    share.filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fail(error: &str, result: Option<Value>) -> Ending {
        read_end(&CommandEnd::Failed {
            error: error.to_owned(),
            result,
        })
    }

    #[test]
    fn an_agents_verdict_has_three_values() {
        for (said, verdict) in [
            (json!(true), Some(true)),
            (json!(false), Some(false)),
            (Value::Null, None),
        ] {
            let result = json!({ "status": "committed", "health_check_passed": said, "error_rate_after": 0.01 });
            let Ending::Kept {
                healthy,
                error_rate_after,
                ..
            } = read_end(&CommandEnd::Completed { result })
            else {
                panic!("not kept");
            };
            assert_eq!((healthy, error_rate_after), (verdict, Some(0.01)));
        }
    }

    #[test]
    fn what_an_agent_took_back_is_the_releases_fault() {
        let result = json!({ "status": "reverted", "error_rate_before": 0.0, "error_rate_after": 0.8 });
        let ending = fail("unhealthy: probes failed", Some(result));
        assert!(matches!(ending, Ending::TakenBack { error_rate_after: Some(rate), .. } if rate > 0.7));
    }

    #[test]
    fn a_full_disk_is_not_the_releases_fault_and_a_withdrawn_order_nobodys() {
        assert!(matches!(fail("disk_full: no room", None), Ending::NotDone { .. }));
        assert!(matches!(
            fail("withdrawn: the kill switch", None),
            Ending::CalledOff { .. }
        ));
        assert!(matches!(
            fail("quarantined: tried before", None),
            Ending::Rejected { .. }
        ));
    }

    #[test]
    fn an_order_that_was_never_sent_changed_nothing_and_one_that_was_may_have() {
        let timed_out = |was_sent| {
            read_end(&CommandEnd::TimedOut {
                error: "late".to_owned(),
                was_sent,
            })
        };
        assert!(matches!(timed_out(false), Ending::NotDone { .. }));
        assert!(matches!(timed_out(true), Ending::Unknown { .. }));
    }

    #[test]
    fn any_answer_of_a_plugin_without_agent_is_read() {
        for odd in [json!(null), json!(1), json!("ok"), json!({ "error_rate_after": -4 })] {
            let Ending::Kept {
                healthy,
                error_rate_after,
                ..
            } = read_end(&CommandEnd::Completed { result: odd })
            else {
                panic!("not kept");
            };
            assert_eq!((healthy, error_rate_after), (None, None));
        }
    }
}
