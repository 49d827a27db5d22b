//! Something is wrong with one plugin: what an incident may become, and what new evidence does to it.
//!
//! ```text
//! open -> in_progress -> mitigated -> closed
//!   |          |             |  \---> escalated (taken back by people)
//!   |          |             \------> closed, and a new one (it came back)
//!   +----------+-> escalated -> in_progress (people decided), mitigated, closed
//!   \----------+------------------> closed (it healed by itself)
//! ```

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    detect::{IncidentType, Severity},
    ids::PluginId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::status::{Illegal, named};

/// `plugin_incidents.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Seen; nobody has decided yet.
    Open,
    /// A cure is under way.
    InProgress,
    /// A cure was applied and held so far.
    Mitigated,
    /// Over.
    Closed,
    /// With people.
    Escalated,
}

/// Every status.
pub const STATUSES: [Status; 5] = [
    Status::Open,
    Status::InProgress,
    Status::Mitigated,
    Status::Closed,
    Status::Escalated,
];

/// What this is a status of, in errors.
const WHAT: &str = "an incident";
named!(Status, STATUSES, WHAT);

/// How long an incident may wait for a decision: a closed maintenance window, the kill switch.
const OPEN_LASTS: SignedDuration = SignedDuration::from_hours(26);
/// How long cures may be tried.
const IN_PROGRESS_LASTS: SignedDuration = SignedDuration::from_hours(30);
/// How long a cure is watched before the incident is over.
const MITIGATED_LASTS: SignedDuration = SignedDuration::from_hours(2);
/// What a plugin reports covers up to an hour (`webhook_fail_rate`): evidence that comes this soon after a cure is
/// about the time before it.
pub const ECHO: SignedDuration = SignedDuration::from_mins(65);

impl Status {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in_progress",
            Self::Mitigated => "mitigated",
            Self::Closed => "closed",
            Self::Escalated => "escalated",
        }
    }

    /// Whether it still takes evidence, and keeps another of its kind from being opened.
    pub fn is_live(self) -> bool {
        self != Self::Closed
    }

    /// Checks a transition.
    ///
    /// # Errors
    /// When there is none.
    pub fn to(self, to: Self) -> Result<Self, Illegal<Self>> {
        let legal = match self {
            Self::Open => matches!(to, Self::InProgress | Self::Escalated | Self::Closed),
            Self::InProgress => matches!(to, Self::Mitigated | Self::Escalated | Self::Closed),
            Self::Mitigated => matches!(to, Self::Closed | Self::Escalated),
            Self::Escalated => matches!(to, Self::InProgress | Self::Mitigated | Self::Closed),
            Self::Closed => false,
        };
        let illegal = Illegal {
            what: WHAT,
            from: self,
            to,
        };
        if legal { Ok(to) } else { Err(illegal) }
    }

    /// How long it may stay so, and what it becomes then; none for what is over or with people.
    pub fn lasts(self) -> Option<(SignedDuration, Status)> {
        match self {
            Self::Open => Some((OPEN_LASTS, Self::Escalated)),
            Self::InProgress => Some((IN_PROGRESS_LASTS, Self::Escalated)),
            Self::Mitigated => Some((MITIGATED_LASTS, Self::Closed)),
            Self::Closed | Self::Escalated => None,
        }
    }
}

/// An incident, as decisions need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// `plugin_incidents.id`.
    pub id: Uuid,
    /// Whose.
    pub plugin_id: PluginId,
    /// What is wrong.
    pub incident_type: IncidentType,
    /// How bad.
    pub severity: Severity,
    /// Where it stands.
    pub status: Status,
    /// Since when it stands there.
    pub status_since: Timestamp,
    /// When it was first seen.
    pub detected_at: Timestamp,
}

/// What new evidence of a plugin's trouble does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The first of its kind: a new incident.
    Opens,
    /// More of the same.
    Adds,
    /// The cure did not hold: the incident is over, and a new one begins.
    Relapse,
}

/// Judges evidence of the same type as a live incident's, if there is one. `observed_from` is the beginning of the
/// time that the evidence is about, when it is known.
pub fn on_evidence(live: Option<&Incident>, observed_from: Option<Timestamp>, now: Timestamp) -> Evidence {
    let Some(incident) = live else {
        return Evidence::Opens;
    };
    let is_after_the_cure = match observed_from {
        Some(from) => from >= incident.status_since,
        None => now.duration_since(incident.status_since) >= ECHO,
    };
    if incident.status == Status::Mitigated && is_after_the_cure {
        Evidence::Relapse
    } else {
        Evidence::Adds
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURED: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn incident(status: Status) -> Incident {
        Incident {
            id: Uuid::nil(),
            plugin_id: PluginId(Uuid::nil()),
            incident_type: IncidentType::ErrorSpike,
            severity: Severity::Medium,
            status,
            status_since: CURED,
            detected_at: CURED,
        }
    }

    fn any_status() -> impl Strategy<Value = Status> {
        prop::sample::select(STATUSES.to_vec())
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_closed_stay_closed(wanted in prop::collection::vec(any_status(), 0..50)) {
            let mut status = Status::Open;
            for to in wanted {
                let was = status;
                status = status.to(to).unwrap_or(status);
                prop_assert!(was != Status::Closed || status == Status::Closed);
            }
        }

        #[test]
        fn only_people_and_the_past_have_no_longest_duration(status in any_status()) {
            let without = matches!(status, Status::Closed | Status::Escalated);
            prop_assert_eq!(status.lasts().is_none(), without);
            if let Some((_, becomes)) = status.lasts() {
                prop_assert!(status.to(becomes).is_ok());
            }
        }
    }

    #[test]
    fn evidence_about_the_time_before_a_cure_does_not_undo_it() {
        let mitigated = incident(Status::Mitigated);
        let at = |minutes| CURED + SignedDuration::from_mins(minutes);
        assert_eq!(on_evidence(Some(&mitigated), None, at(60)), Evidence::Adds);
        assert_eq!(on_evidence(Some(&mitigated), None, at(65)), Evidence::Relapse);
        assert_eq!(on_evidence(Some(&mitigated), Some(at(-1)), at(70)), Evidence::Adds);
        assert_eq!(on_evidence(Some(&mitigated), Some(at(1)), at(3)), Evidence::Relapse);
    }

    #[test]
    fn more_of_the_same_opens_nothing() {
        assert_eq!(on_evidence(None, None, CURED), Evidence::Opens);
        for status in [Status::Open, Status::InProgress, Status::Escalated] {
            assert_eq!(on_evidence(Some(&incident(status)), None, CURED), Evidence::Adds);
        }
    }
}
