//! The desk that the healing loop brings its incidents to.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{DecideError, decide};
use crate::{
    service::{
        Entropy,
        healing::{self, HealingError},
    },
    sira::Sira,
    store::{Db, StoreError},
};

/// Decides about incidents, and keeps each decision with what it rests on.
pub struct DecisionDesk {
    db: Db,
    sira: Sira,
    entropy: Entropy,
}

impl DecisionDesk {
    /// Over a database, with whoever decides.
    pub fn new(db: Db, sira: Sira, entropy: Entropy) -> Self {
        Self { db, sira, entropy }
    }
}

#[async_trait]
impl healing::Decide for DecisionDesk {
    async fn decide(&self, incident: Uuid, now: Timestamp) -> Result<healing::Decided, HealingError> {
        let recorded = decide(&self.db, &self.sira, incident, self.entropy.bytes()?, now).await;
        let decided = match recorded {
            Ok(recorded) => recorded.decided,
            Err(DecideError::Store(error)) => return Err(error.into()),
            Err(DecideError::UnknownIncident) => return Err(StoreError::Stale { what: "the incident" }.into()),
        };
        Ok(healing::Decided {
            source: decided.source.as_str(),
            model_version: decided.model_version,
            decision: decided.decision,
        })
    }
}
