//! Releases that are worse than their siblings are found, from what every plugin has stored, and the plugins that they
//! make ill get their incidents.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{
    service::healing::{blame_releases, look_after_affected},
    store::Db,
};

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
        let blamed = blame_releases(&self.0, now).await?;
        let (opened, more) = look_after_affected(&self.0, now).await?;
        Ok(Activation {
            done: blamed + opened,
            more,
        })
    }
}
