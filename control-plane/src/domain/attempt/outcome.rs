//! How the order of an attempt ended, read as what it means for the attempt.

use plugmend_shared::protocol::command::{Outcome, OutcomeStatus};
use serde_json::{Map, Value};

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
        /// What the settings held before, where it changed some and says so: the way back.
        settings_before: Option<Map<String, Value>>,
        /// In words for people.
        words: String,
    },
    /// The change was made and taken back by the agent.
    TakenBack {
        /// Whom that speaks against.
        fault: Fault,
        /// Why.
        why: String,
        /// Share of failing requests before, 0 to 1.
        error_rate_before: Option<f64>,
        /// The same while it was in force.
        error_rate_after: Option<f64>,
    },
    /// The host refused the release before it touched anything, and would again.
    Rejected {
        /// Whom that speaks against.
        fault: Fault,
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

/// Whom it speaks against that a release did not come to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The release: others would fare no better.
    Release,
    /// This host, or how the two fit together: other hosts may well have the release.
    Host,
    /// Nobody: a person wished it.
    Nobody,
}

/// Codes with which we or the agent say that an order was called off.
const CALLED_OFF: [&str; 2] = ["cancelled", "withdrawn"];
/// Codes of an agent that went back because somebody asked for it.
const ASKED_BACK: &str = "asked_to_go_back";
/// Codes of an agent for harm that a release did, or for what is wrong with it wherever it is.
const RELEASES_FAULT: [&str; 8] = [
    "probe_fatal",
    "probe_failed",
    "silent",
    "error_rate",
    "webhook_fail_rate",
    "smoke_test_failed",
    "bad_manifest",
    "bad_pack",
];
/// Codes of an agent that will refuse the same release each time, for what is so on its host.
const HOSTS_REFUSAL: [&str; 6] = [
    "incompatible_environment",
    "incompatible_from",
    "quarantined",
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
            OutcomeStatus::Reverted => taken_back(Fault::Host, outcome.explanation.clone(), &outcome),
            OutcomeStatus::Refused => Ending::NotDone {
                why: outcome.explanation,
            },
        },
        // A plugin without agent says it in its own words.
        Err(_) => Ending::Kept {
            healthy: result.get("health_check_passed").and_then(Value::as_bool),
            error_rate_before: share(result, "error_rate_before"),
            error_rate_after: share(result, "error_rate_after"),
            settings_before: result.get("settings_before").and_then(Value::as_object).cloned(),
            words: String::new(),
        },
    }
}

fn failed(error: &str, result: Option<&Value>) -> Ending {
    let why = error.to_owned();
    let code = error.split(':').next().unwrap_or_default().trim();
    let fault = fault(code);
    let outcome = result.and_then(|result| serde_json::from_value::<Outcome>(result.clone()).ok());
    if let Some(outcome) = outcome.filter(|outcome| outcome.status == OutcomeStatus::Reverted) {
        return taken_back(fault, why, &outcome);
    }
    if CALLED_OFF.contains(&code) {
        Ending::CalledOff { why }
    } else if fault == Fault::Release || HOSTS_REFUSAL.contains(&code) {
        Ending::Rejected { fault, why }
    } else {
        Ending::NotDone { why }
    }
}

/// What no word is known for is the host's: a good release is not taken from others for it.
fn fault(code: &str) -> Fault {
    match code {
        ASKED_BACK => Fault::Nobody,
        code if RELEASES_FAULT.contains(&code) => Fault::Release,
        _ => Fault::Host,
    }
}

fn kept(outcome: Outcome) -> Ending {
    Ending::Kept {
        healthy: outcome.health_check_passed,
        error_rate_before: possible(outcome.error_rate_before),
        error_rate_after: possible(outcome.error_rate_after),
        settings_before: outcome.settings_before,
        words: outcome.explanation,
    }
}

fn taken_back(fault: Fault, why: String, outcome: &Outcome) -> Ending {
    Ending::TakenBack {
        fault,
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
    fn only_harm_that_a_release_did_is_its_fault() {
        let result = json!({ "status": "reverted", "error_rate_before": 0.0, "error_rate_after": 0.8 });
        for (error, whose) in [
            ("probe_failed: 3 rounds", Fault::Release),
            ("error_rate: 80 %", Fault::Release),
            ("hook_failed: the reload hook is not there", Fault::Host),
            ("something_new: words", Fault::Host),
            ("asked_to_go_back: by order", Fault::Nobody),
        ] {
            let Ending::TakenBack {
                fault,
                error_rate_after,
                ..
            } = fail(error, Some(result.clone()))
            else {
                panic!("{error}: not taken back");
            };
            assert_eq!((fault, error_rate_after), (whose, Some(0.8)), "{error}");
        }
    }

    #[test]
    fn a_host_that_is_too_old_for_a_release_says_nothing_against_it() {
        for error in [
            "agent_too_old: 0.1 < 0.9",
            "incompatible_environment: PHP 7.2",
            "quarantined: tried before",
        ] {
            let ending = fail(error, None);
            assert!(matches!(ending, Ending::Rejected { fault: Fault::Host, .. }), "{error}");
        }
        let ending = fail("smoke_test_failed: exit 1", None);
        assert!(matches!(
            ending,
            Ending::Rejected {
                fault: Fault::Release,
                ..
            }
        ));
    }

    #[test]
    fn a_full_disk_is_not_the_releases_fault_and_a_withdrawn_order_nobodys() {
        assert!(matches!(fail("disk_full: no room", None), Ending::NotDone { .. }));
        assert!(matches!(
            fail("withdrawn: the kill switch", None),
            Ending::CalledOff { .. }
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
