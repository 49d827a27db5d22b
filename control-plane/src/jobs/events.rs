//! Live events are placed where nobody watches, and forgotten after days.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::runner::{Activation, Reconciler};
use crate::store::{Db, ops_event};

const EVERY: Duration = Duration::from_secs(30);
/// How long events are kept for those who were away.
const KEPT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// How many are kept at most.
const MOST: i64 = 2_000_000;
const FORGET_AT_ONCE: u32 = 5_000;

/// Gives events their positions where no process with the API does so at once, and forgets the old ones.
pub struct ForgetEvents {
    db: Db,
}

impl ForgetEvents {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl Reconciler for ForgetEvents {
    fn name(&self) -> &'static str {
        "old events"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let waiting = ops_event::place(&self.db).await?;
        let forgotten = ops_event::forget(&self.db, now.checked_sub(KEPT)?, MOST, FORGET_AT_ONCE).await?;
        Ok(Activation {
            done: forgotten.into(),
            more: waiting || forgotten == FORGET_AT_ONCE,
        })
    }
}
