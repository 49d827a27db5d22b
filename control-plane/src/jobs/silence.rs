//! Plugins of which nothing was heard for long are found.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use plugmend_shared::ids::PluginId;
use tokio::sync::Mutex;

use super::runner::{Activation, Reconciler};
use crate::{
    service::healing::{Hearing, find_silent},
    store::{self, Db},
};

const EVERY: Duration = Duration::from_secs(15);

/// Listens for silence.
pub struct SilentPlugins {
    db: Db,
    state: Mutex<(Hearing, Option<PluginId>)>,
}

impl SilentPlugins {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self {
            db,
            state: Mutex::default(),
        }
    }
}

#[async_trait]
impl Reconciler for SilentPlugins {
    fn name(&self) -> &'static str {
        "silent plugins"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let mut state = self.state.lock().await;
        let (hearing, after) = *state;
        // In the middle of a round the hearing stays the same.
        let hearing = if after.is_some() {
            hearing
        } else {
            let (heard, fleet) = store::detector::last_heard_of_anybody(&self.db).await?;
            hearing.look(now, heard, fleet)
        };
        let (next, done) = find_silent(&self.db, hearing, after, now).await?;
        *state = (hearing, next);
        Ok(Activation {
            done,
            more: next.is_some(),
        })
    }
}
