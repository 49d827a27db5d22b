//! Attempts that are due, and those whose order has ended, are taken one step further.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{service::healing::Healing, store};

const EVERY: Duration = Duration::from_secs(2);
/// Of those whose order has ended, and of those that are due.
const BATCH: u16 = 16;
/// How many are worked on at the same time: a run in the sandbox takes a while.
const AT_ONCE: usize = 8;

/// Drives attempts.
pub struct Attempts(Healing);

impl Attempts {
    /// With the loop's hands.
    pub fn new(healing: Healing) -> Self {
        Self(healing)
    }
}

#[async_trait]
impl Reconciler for Attempts {
    fn name(&self) -> &'static str {
        "attempts"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let healing = &self.0;
        let claimed = store::attempt::claim(&healing.db, healing.token()?, now, i64::from(BATCH)).await?;
        let count = claimed.len();
        let looks = stream::iter(claimed).map(|lease| async move {
            if let Err(error) = healing.look_at_attempt(lease, now).await {
                tracing::warn!(attempt = %lease.id, error = format!("{:#}", anyhow::Error::from(error)), "not looked at");
            }
        });
        looks.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        Ok(Activation {
            done: u64::try_from(count)?,
            more: count >= usize::from(BATCH),
        })
    }
}
