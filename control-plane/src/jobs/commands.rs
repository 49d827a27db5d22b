//! Orders whose time is over are tried again or given up; orders whose next try came due are announced.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{
    service::{
        Entropy,
        approval::expire_late,
        command::{announce_due, end_overdue},
    },
    store::Db,
};

const EVERY: Duration = Duration::from_secs(5);
const BATCH: u16 = 100;

/// Watches the deadlines of orders.
pub struct OverdueCommands {
    db: Db,
    entropy: Entropy,
}

impl OverdueCommands {
    /// Over a database.
    pub fn new(db: Db, entropy: Entropy) -> Self {
        Self { db, entropy }
    }
}

#[async_trait]
impl Reconciler for OverdueCommands {
    fn name(&self) -> &'static str {
        "overdue commands"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let random = u32::from_le_bytes(self.entropy.bytes()?);
        let ended = end_overdue(&self.db, now, random, BATCH).await?;
        // Twice the interval back: a hint given twice does no harm, one that is missed costs the length of a poll.
        announce_due(&self.db, now, EVERY * 2, BATCH).await?;
        let late = expire_late(&self.db, now, BATCH).await?;
        Ok(Activation {
            done: u64::from(ended) + u64::from(late),
            more: ended.max(late) == BATCH,
        })
    }
}
