//! One host or two? A copied disk and a stolen key show by what no single host does: a life of the process that had
//! been followed by another speaks again, or a certificate that had been replaced is used again.
//!
//! Two things look alike and must not fence an agent: a restart (the life before never comes back), and a request of
//! the life before that was still under way. So a late sign is let pass while it can still be one under way, and even
//! after that a first one is only remembered: what a dead process has left in the network arrives at once, not again
//! and again. A host that lives on does speak again.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::BootId;
use serde::{Deserialize, Serialize};

/// Lives of the process that are remembered behind the present one. As many as a host can go through between two signs
/// of life of another one (a long poll a minute, a heartbeat every two), or fresh lives would wash away the trace of it.
const REMEMBERED: usize = 64;
/// The most lives that may begin within [`RESTLESS_WITHIN`].
const MOST_LIVES: usize = 10;
/// See [`MOST_LIVES`].
const RESTLESS_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// A first late sign is forgotten after this long.
const SUSPICION: SignedDuration = SignedDuration::from_hours(1);

/// What has been seen of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Sightings {
    /// The renewals behind the newest certificate that was used.
    pub renewals: u64,
    /// When that certificate was first used.
    pub renewed_at: Option<Timestamp>,
    /// When an older one was first used after that, too late to have been under way.
    pub stale_at: Option<Timestamp>,
    /// The present life of the process.
    pub boot: Option<Boot>,
    /// Those before, the last first.
    pub former: Vec<FormerBoot>,
}

/// One life of the agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Boot {
    /// Its id.
    pub id: BootId,
    /// When it was first seen.
    pub since: Timestamp,
    /// From where.
    pub address: String,
}

/// One that was followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FormerBoot {
    /// The life.
    #[serde(flatten)]
    pub boot: Boot,
    /// When the next one was first seen.
    pub left_at: Timestamp,
    /// When it spoke nevertheless, too late for a request to have been under way.
    pub returned_at: Option<Timestamp>,
}

/// One sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Which life; `None` where none needs to be told (release files).
    pub boot_id: Option<BootId>,
    /// The renewals behind the certificate that was shown.
    pub renewals: u64,
    /// From where.
    pub address: String,
    /// When.
    pub at: Timestamp,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// As it should be.
    Seen,
    /// From a life or a certificate that has been replaced, and harmless as far as can be told.
    Superseded,
    /// From one life too many within a minute: not remembered, to be refused for now.
    Restless,
    /// From a second host.
    TwoPlaces(Evidence),
}

/// Why two hosts are thought to share an identity, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// Two lives of the process speak by turns.
    TwoLives {
        /// The one that came last.
        current: Boot,
        /// The one that should have ended.
        returned: FormerBoot,
        /// Where it spoke from this time.
        address: String,
        /// And when.
        at: Timestamp,
    },
    /// A certificate is still used although its successor has been.
    OldCertificate {
        /// Renewals behind the one that was used.
        shown: u64,
        /// Renewals behind its successor.
        current: u64,
        /// When the successor was first used.
        renewed_at: Option<Timestamp>,
        /// Where the old one was used from.
        address: String,
        /// And when.
        at: Timestamp,
    },
    /// Two keys asked for the next certificate of one identity.
    TwoRenewals {
        /// Renewals behind the certificate that was shown.
        shown: u64,
        /// Renewals behind the newest that was issued.
        issued: u64,
        /// Where the second came from.
        address: String,
        /// And when.
        at: Timestamp,
        /// The life of the process that sent it.
        boot_id: Option<BootId>,
    },
}

/// Judges one sign of life. The first of the pair is what is to be remembered, when that has changed. `in_flight` is
/// how long a request may have been under way.
pub fn observe(seen: &Sightings, sign: &Sign, in_flight: SignedDuration) -> (Option<Sightings>, Sighting) {
    if sign.renewals < seen.renewals {
        return old_certificate(seen, sign, in_flight);
    }
    let mut next = None;
    if sign.renewals > seen.renewals || seen.renewed_at.is_none() {
        let fresh = Sightings {
            renewals: sign.renewals,
            renewed_at: Some(sign.at),
            stale_at: None,
            ..seen.clone()
        };
        next = Some(fresh);
    }
    let (after_boot, sighting) = match sign.boot_id {
        None => (None, Sighting::Seen),
        Some(id) => life(next.as_ref().unwrap_or(seen), id, sign, in_flight),
    };
    (after_boot.or(next), sighting)
}

fn old_certificate(seen: &Sightings, sign: &Sign, in_flight: SignedDuration) -> (Option<Sightings>, Sighting) {
    match lateness(seen.renewed_at, seen.stale_at, sign.at, in_flight) {
        Lateness::UnderWay => (None, Sighting::Superseded),
        Lateness::First => {
            let next = Sightings {
                stale_at: Some(sign.at),
                ..seen.clone()
            };
            (Some(next), Sighting::Superseded)
        }
        Lateness::Again => {
            let evidence = Evidence::OldCertificate {
                shown: sign.renewals,
                current: seen.renewals,
                renewed_at: seen.renewed_at,
                address: sign.address.clone(),
                at: sign.at,
            };
            (None, Sighting::TwoPlaces(evidence))
        }
    }
}

fn life(seen: &Sightings, id: BootId, sign: &Sign, in_flight: SignedDuration) -> (Option<Sightings>, Sighting) {
    let Some(current) = &seen.boot else {
        return (
            Some(Sightings {
                boot: Some(boot(id, sign)),
                ..seen.clone()
            }),
            Sighting::Seen,
        );
    };
    if current.id == id {
        return (None, Sighting::Seen);
    }
    let Some(index) = seen.former.iter().position(|former| former.boot.id == id) else {
        let lately = |former: &&FormerBoot| sign.at.duration_since(former.left_at) <= RESTLESS_WITHIN;
        if seen.former.iter().take_while(lately).count() >= MOST_LIVES {
            return (None, Sighting::Restless);
        }
        return (Some(next_life(seen, current, id, sign)), Sighting::Seen);
    };
    let former = &seen.former[index];
    match lateness(Some(former.left_at), former.returned_at, sign.at, in_flight) {
        Lateness::UnderWay => (None, Sighting::Superseded),
        Lateness::First => {
            let mut next = seen.clone();
            next.former[index].returned_at = Some(sign.at);
            (Some(next), Sighting::Superseded)
        }
        Lateness::Again => {
            let evidence = Evidence::TwoLives {
                current: current.clone(),
                returned: former.clone(),
                address: sign.address.clone(),
                at: sign.at,
            };
            (None, Sighting::TwoPlaces(evidence))
        }
    }
}

fn boot(id: BootId, sign: &Sign) -> Boot {
    Boot {
        id,
        since: sign.at,
        address: sign.address.clone(),
    }
}

fn next_life(seen: &Sightings, current: &Boot, id: BootId, sign: &Sign) -> Sightings {
    let left = FormerBoot {
        boot: current.clone(),
        left_at: sign.at,
        returned_at: None,
    };
    let mut former = vec![left];
    former.extend(seen.former.iter().cloned());
    if former.len() > REMEMBERED {
        // One that spoke late is what a second host looks like: it is the last to be forgotten.
        let quiet = former.iter().rposition(|former| former.returned_at.is_none());
        former.remove(quiet.unwrap_or(REMEMBERED));
    }
    Sightings {
        boot: Some(boot(id, sign)),
        former,
        ..seen.clone()
    }
}

enum Lateness {
    /// It may have been under way when its successor spoke.
    UnderWay,
    /// Too late for that, for the first time.
    First,
    /// Too late once more, and not in the same breath.
    Again,
}

fn lateness(
    replaced_at: Option<Timestamp>,
    late_before: Option<Timestamp>,
    now: Timestamp,
    in_flight: SignedDuration,
) -> Lateness {
    let since = |then: Option<Timestamp>| then.map_or(SignedDuration::MAX, |then| now.duration_since(then));
    if since(replaced_at) <= in_flight {
        return Lateness::UnderWay;
    }
    match late_before {
        Some(_) if since(late_before) <= in_flight => Lateness::UnderWay,
        Some(_) if since(late_before) <= SUSPICION => Lateness::Again,
        _ => Lateness::First,
    }
}

#[cfg(test)]
mod tests;
