//! The release repository's snapshot and timestamp are renewed before they expire: a frozen repository stops agents.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::runner::{Activation, Reconciler};
use crate::{repo::Repository, service::release, store::Db};

const EVERY: Duration = Duration::from_mins(10);

/// Keeps the release repository fresh.
pub struct RepositoryFreshness {
    db: Db,
    repo: Repository,
}

impl RepositoryFreshness {
    /// Over a repository and the database whose lock its writers hold.
    pub fn new(db: Db, repo: Repository) -> Self {
        Self { db, repo }
    }
}

#[async_trait]
impl Reconciler for RepositoryFreshness {
    fn name(&self) -> &'static str {
        "repository freshness"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let renewed = release::refresh_if_due(&self.db, &self.repo, now).await?;
        let completed = release::take_stock(&self.db, &self.repo, now).await?;
        Ok(Activation {
            done: u64::from(renewed) + completed as u64,
            more: false,
        })
    }
}
