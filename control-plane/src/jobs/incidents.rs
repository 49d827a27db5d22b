//! Incidents that are due are looked at: judged, cured, closed, or given to people.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{service::healing::Healing, store};

const EVERY: Duration = Duration::from_secs(5);
const BATCH: u16 = 32;
/// How many are looked at at the same time: a decider may take seconds.
const AT_ONCE: usize = 8;

/// Drives incidents.
pub struct Incidents(Healing);

impl Incidents {
    /// With the loop's hands.
    pub fn new(healing: Healing) -> Self {
        Self(healing)
    }
}

#[async_trait]
impl Reconciler for Incidents {
    fn name(&self) -> &'static str {
        "incidents"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let healing = &self.0;
        let claimed = store::incident::claim(&healing.db, healing.token()?, now, i64::from(BATCH)).await?;
        let count = claimed.len();
        let looks = stream::iter(claimed).map(|lease| async move {
            // One that can not be looked at must not stop the others; its lease ends by itself.
            if let Err(error) = healing.look_at_incident(lease, now).await {
                tracing::warn!(incident = %lease.id, error = format!("{:#}", anyhow::Error::from(error)), "not looked at");
            }
        });
        looks.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        Ok(Activation {
            done: u64::try_from(count)?,
            more: count == usize::from(BATCH),
        })
    }
}
