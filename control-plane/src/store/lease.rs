//! Claims by lease: whoever dies with a row is relieved of it when the lease is over.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How long a claim lasts, unless it is renewed: a decider may take ten seconds, and try again within.
const LASTS: SignedDuration = SignedDuration::from_secs(60);

/// A claim on one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease<Id> {
    /// The row.
    pub id: Id,
    /// Drawn anew for each claim: two never have the same.
    pub token: Uuid,
}

/// When a claim that is made or renewed at `now` ends.
pub(super) fn until(now: Timestamp) -> Timestamp {
    now.checked_add(LASTS).unwrap_or(Timestamp::MAX)
}
