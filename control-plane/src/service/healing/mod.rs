//! From a sick heartbeat to a proven cure: incidents are opened, decided about, judged by policy, tried out, applied,
//! watched and, where it hurts, taken back.
//!
//! Work is claimed by lease, one step at a time. A step is: read, decide, and one transaction that moves one row under
//! guard, with its audit entry and its event. Nothing is held open across a call that leaves the process, and whoever
//! dies in between is relieved when the lease is over: what was not committed did not happen.

mod approve;
mod attempt;
mod cure;
mod dispatch;
mod end;
mod fleet;
mod follow;
mod incident;
mod open;
mod people;
mod ports;
mod silence;
mod stage;
mod tell;

use std::sync::Arc;

use plugmend_shared::clock::Clock;
use thiserror::Error;
use uuid::Uuid;

use super::{Entropy, NoEntropy};
use crate::{
    staging::StagingClient,
    store::{Db, StoreError},
};

pub use approve::{Approved, approve, rejected};
pub use fleet::{blame_releases, look_after_affected};
pub use open::{Observed, observe};
pub use people::{ManualAction, ManualDone, ManualError, Person, manual_action};
pub use ports::{Decide, Decided};
pub use silence::{Hearing, Together, find_silent, listen};

/// Why a step was not done. The next look is the retry.
#[derive(Debug, Error)]
pub enum HealingError {
    /// The database failed, or somebody else was faster.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gave no random numbers.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// The loop's hands.
#[derive(Clone)]
pub struct Healing {
    /// The database.
    pub db: Db,
    /// The time: a step that waited for somebody else takes a new look at it.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for ids.
    pub entropy: Entropy,
    /// Says what would cure.
    pub decider: Arc<dyn Decide>,
    /// Tries releases out; none when no runner is configured.
    pub staging: Option<StagingClient>,
}

impl Healing {
    /// A token for claims.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn token(&self) -> Result<Uuid, NoEntropy> {
        Ok(uuid::Builder::from_random_bytes(self.entropy.bytes()?).into_uuid())
    }
}

/// Whether somebody else was faster: nothing to worry about, and nothing left to do.
fn is_overtaken(error: &HealingError) -> bool {
    matches!(error, HealingError::Store(StoreError::Stale { .. }))
}
