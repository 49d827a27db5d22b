//! Ended attempts are learned from.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{service::learn::learn_some, store::Db};

const EVERY: Duration = Duration::from_secs(5);
const BATCH: u16 = 50;

/// Learns from how attempts ended.
pub struct Learning {
    db: Db,
}

impl Learning {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl Reconciler for Learning {
    fn name(&self) -> &'static str {
        "learning"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let learned = learn_some(&self.db, BATCH, now).await?;
        Ok(Activation {
            done: learned.into(),
            more: learned == BATCH,
        })
    }
}
