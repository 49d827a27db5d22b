//! What people are shown about the running agent: one place that the tasks write and `status` reads.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use plugmend_shared::{
    detect::{Finding, IncidentType},
    ids::CommandId,
    protocol::{
        command::CommandKind,
        heartbeat::{IntegrityReport, SettingsReport},
    },
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::upstream::client::ClientError;

/// How the agent stands with its control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Nothing was sent yet.
    Starting,
    /// The last request was answered.
    Online {
        /// Since when.
        since: Timestamp,
    },
    /// The last request was not answered. Nothing is lost: windows are spooled, the plugin is served as before.
    Offline {
        /// Since when.
        since: Timestamp,
        /// Why, in words.
        reason: String,
    },
    /// The identity was seen in two places; the agent is silent until it is enrolled anew.
    Fenced {
        /// What the control plane said.
        detail: String,
    },
    /// The identity was revoked; the agent is silent until it is enrolled anew.
    Revoked {
        /// What the control plane said.
        detail: String,
    },
    /// The certificate has expired; the agent renews it, and does nothing else.
    Expired {
        /// What the control plane said.
        detail: String,
    },
}

impl Standing {
    /// Whether heartbeats and polls may be sent.
    pub fn may_speak(&self) -> bool {
        matches!(self, Self::Starting | Self::Online { .. } | Self::Offline { .. })
    }

    /// Whether only a new enrolment helps.
    pub fn is_silenced(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::Revoked { .. })
    }

    /// The standing after an answer.
    #[must_use]
    pub fn answered(&self, now: Timestamp) -> Self {
        match self {
            Self::Online { .. } => self.clone(),
            _ => Self::Online { since: now },
        }
    }

    /// The standing after a failure.
    #[must_use]
    pub fn failed(&self, error: &ClientError, now: Timestamp) -> Self {
        match (error, self) {
            (ClientError::Fenced(detail), _) => Self::Fenced { detail: detail.clone() },
            (ClientError::Revoked(detail), _) => Self::Revoked { detail: detail.clone() },
            (ClientError::Expired(detail), _) => Self::Expired { detail: detail.clone() },
            (_, Self::Offline { since, .. }) => Self::Offline {
                since: *since,
                reason: chain(error),
            },
            // A silenced agent that tries anyhow and does not get through is still silenced.
            (_, silenced) if silenced.is_silenced() => silenced.clone(),
            _ => Self::Offline {
                since: now,
                reason: chain(error),
            },
        }
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The order in hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InHand {
    /// Its id; absent when a person on the host asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// What it asks for; absent when a person on the host asked, or an earlier life of the agent took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The engine's step.
    pub step: String,
    /// The same in words.
    pub detail: String,
    /// Share done, 0 to 1, when it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<f64>,
}

impl InHand {
    /// Whether it may be a change of the plugin, which can be called back.
    pub fn is_change(&self) -> bool {
        let kind = self.kind.as_deref();
        kind.is_none_or(|kind| {
            ![CommandKind::Restart, CommandKind::HealthCheck]
                .map(CommandKind::as_str)
                .contains(&kind)
        })
    }
}

/// Everything on the board.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    /// How it stands with the control plane.
    pub standing: Standing,
    /// When a heartbeat was last answered.
    pub last_answer: Option<Timestamp>,
    /// Seconds between heartbeats.
    pub heartbeat_interval_s: u64,
    /// The order in hand.
    pub in_hand: Option<InHand>,
    /// The last comparison of the installed files with the signed manifest.
    pub integrity: Option<IntegrityReport>,
    /// The last comparison of managed settings with the settings file.
    #[serde(default)]
    pub settings: Option<SettingsReport>,
    /// What the agent's own detector found and the control plane has not heard yet.
    #[serde(default)]
    pub early: Vec<Finding>,
    /// What it holds for ill now; absent before its first look.
    #[serde(default)]
    pub ill: Option<Vec<IncidentType>>,
    /// What else is wrong, by what it is about.
    pub troubles: BTreeMap<String, String>,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    shown: Mutex<Shown>,
    standing: watch::Sender<Standing>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            shown: Mutex::new(Shown {
                standing: Standing::Starting,
                last_answer: None,
                heartbeat_interval_s: 0,
                in_hand: None,
                integrity: None,
                settings: None,
                early: Vec::new(),
                ill: None,
                troubles: BTreeMap::new(),
            }),
            standing: watch::Sender::new(Standing::Starting),
        }
    }
}

impl Board {
    /// Everything that is shown now.
    pub fn shown(&self) -> Shown {
        self.lock().clone()
    }

    /// Changes what is shown.
    pub fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.lock());
    }

    /// Shows a trouble, or that there is none any more.
    pub fn trouble(&self, about: &str, what: Option<String>) {
        let mut shown = self.lock();
        match what {
            Some(what) => {
                if shown.troubles.insert(about.to_owned(), what.clone()).as_ref() != Some(&what) {
                    tracing::warn!(about, "{what}");
                }
            }
            None => {
                shown.troubles.remove(about);
            }
        }
    }

    /// Shows the outcome of a request.
    pub fn outcome<T>(&self, result: &Result<T, ClientError>, now: Timestamp) {
        self.outcome_of(result.as_ref().err(), now);
    }

    /// Shows the outcome of a request that failed or did not.
    pub fn outcome_of(&self, error: Option<&ClientError>, now: Timestamp) {
        match error {
            None => self.stand(|standing| standing.answered(now)),
            // Understood and refused: the way is open.
            Some(ClientError::Refused(_)) => {}
            Some(error) => self.stand(|standing| standing.failed(error, now)),
        }
    }

    /// Changes the standing; a real change is logged.
    pub fn stand(&self, change: impl FnOnce(&Standing) -> Standing) {
        let mut shown = self.lock();
        let next = change(&shown.standing);
        let same_kind = std::mem::discriminant(&next) == std::mem::discriminant(&shown.standing);
        if next != shown.standing {
            shown.standing = next.clone();
            drop(shown);
            if !same_kind {
                log(&next);
            }
            self.standing.send_replace(next);
        }
    }

    /// The standing, and its changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(standing: &Standing) {
    match standing {
        Standing::Starting => {}
        Standing::Online { .. } => tracing::info!("the control plane answers"),
        Standing::Offline { reason, .. } => tracing::warn!("offline, telemetry is spooled: {reason}"),
        Standing::Fenced { detail } => tracing::error!("fenced, silent until enrolled anew: {detail}"),
        Standing::Revoked { detail } => tracing::error!("revoked, silent until enrolled anew: {detail}"),
        Standing::Expired { detail } => tracing::warn!("the certificate has expired, renewing it: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn timed_out() -> ClientError {
        ClientError::TimedOut {
            doing: "the heartbeat",
            after: Duration::from_secs(30),
        }
    }

    #[test]
    fn an_outage_has_one_beginning() {
        let offline = Standing::Starting
            .failed(&timed_out(), at(1))
            .failed(&timed_out(), at(2));
        assert!(matches!(offline, Standing::Offline { since, .. } if since == at(1)));
        assert_eq!(offline.answered(at(3)), Standing::Online { since: at(3) });
        assert_eq!(
            offline.answered(at(3)).answered(at(4)),
            Standing::Online { since: at(3) }
        );
    }

    #[test]
    fn a_silenced_agent_stays_silenced_until_it_is_answered() {
        let fenced = Standing::Starting.failed(&ClientError::Fenced("two hosts".to_owned()), at(1));
        assert!(fenced.is_silenced() && !fenced.may_speak());
        assert_eq!(fenced.failed(&timed_out(), at(2)), fenced);
    }

    #[test]
    fn a_refusal_of_one_request_is_no_outage() {
        let board = Board::default();
        let refused = plugmend_shared::protocol::problem::Problem::new(404, "unknown_command", "Unknown command");
        board.outcome::<()>(&Err(ClientError::Refused(refused)), at(1));
        assert_eq!(board.shown().standing, Standing::Starting);
    }
}
