//! The audit trail is sealed every few seconds, and its newest checkpoint handed to those who witness.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{
    service::audit_chain::{NewestCheckpoint, Sealer},
    store::Db,
};

const EVERY: Duration = Duration::from_secs(5);

/// Seals what waits.
pub struct Checkpoints {
    sealer: Sealer,
}

impl Checkpoints {
    /// By a sealer.
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }
}

#[async_trait]
impl Reconciler for Checkpoints {
    fn name(&self) -> &'static str {
        "audit checkpoints"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let (done, more) = self.sealer.seal(now).await?;
        Ok(Activation { done, more })
    }
}

/// Reads the newest checkpoint, in every process that answers agents.
pub struct WitnessedCheckpoint {
    db: Db,
    newest: NewestCheckpoint,
}

impl WitnessedCheckpoint {
    /// From a database.
    pub fn new(db: Db, newest: NewestCheckpoint) -> Self {
        Self { db, newest }
    }
}

#[async_trait]
impl Reconciler for WitnessedCheckpoint {
    fn name(&self) -> &'static str {
        "audit witness"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, _now: Timestamp) -> anyhow::Result<Activation> {
        self.newest.refresh(&self.db).await?;
        Ok(Activation::default())
    }
}
