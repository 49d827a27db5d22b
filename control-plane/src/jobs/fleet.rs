//! Releases that are worse than their siblings are found, from what every plugin has stored.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{service::healing::blame_releases, store::Db};

const EVERY: Duration = Duration::from_secs(30);

/// Compares releases across the fleet.
pub struct FleetFindings(Db);

impl FleetFindings {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self(db)
    }
}

#[async_trait]
impl Reconciler for FleetFindings {
    fn name(&self) -> &'static str {
        "fleet findings"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        Ok(Activation {
            done: blame_releases(&self.0, now).await?,
            more: false,
        })
    }
}
