//! Events go out. Each lane is a task of its own, so that one that hangs does not hold up the batch.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Mutex, task::JoinSet};

use super::runner::{Activation, Reconciler};
use crate::{
    service::deliver::Deliverer,
    store::{self, Db},
};

const EVERY: Duration = Duration::from_secs(1);
const HOURLY: Duration = Duration::from_hours(1);
/// Lanes that one process works in at once.
const LANES: usize = 64;
const FORGET_AT_ONCE: u16 = 1000;

/// Sends what is due.
pub struct Deliveries {
    deliverer: Deliverer,
    /// Ended with the job: what was on its way then is sent again when its lease ends.
    lanes: Mutex<JoinSet<()>>,
}

impl Deliveries {
    /// By a deliverer.
    pub fn new(deliverer: Deliverer) -> Self {
        Self {
            deliverer,
            lanes: Mutex::default(),
        }
    }
}

#[async_trait]
impl Reconciler for Deliveries {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let mut lanes = self.lanes.lock().await;
        while lanes.try_join_next().is_some() {}
        let (spread, more) = self.deliverer.spread(now).await?;
        let room = LANES.saturating_sub(lanes.len());
        let taken = self.deliverer.take_lanes(now, room).await?;
        let done = spread + taken.len() as u64;
        for lane in taken {
            let deliverer = self.deliverer.clone();
            lanes.spawn(async move {
                let webhook = lane.webhook_id;
                if let Err(error) = deliverer.work(lane).await {
                    tracing::warn!(%webhook, error = %error, "a webhook could not be worked on; trying again later");
                }
            });
        }
        Ok(Activation { done, more })
    }
}

/// Forgets old events, and encrypts what the reference system stored in the clear.
pub struct TidyWebhooks {
    db: Db,
    deliverer: Deliverer,
    /// How long events are kept once nobody waits for them.
    keep: SignedDuration,
}

impl TidyWebhooks {
    /// Keeps events for `keep_days` days.
    pub fn new(db: Db, deliverer: Deliverer, keep_days: u16) -> Self {
        Self {
            db,
            deliverer,
            keep: SignedDuration::from_hours(24 * i64::from(keep_days)),
        }
    }
}

#[async_trait]
impl Reconciler for TidyWebhooks {
    fn name(&self) -> &'static str {
        "old events"
    }

    fn every(&self) -> Duration {
        HOURLY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let sealed = self.deliverer.seal_secrets().await? as u64;
        let before = now.checked_sub(self.keep)?;
        let forgotten = store::delivery::forget(&self.db, before, i64::from(FORGET_AT_ONCE)).await?;
        Ok(Activation {
            done: sealed + forgotten,
            more: sealed >= 100 || forgotten >= u64::from(FORGET_AT_ONCE),
        })
    }
}
