//! Plugins of which nothing was heard for long are found.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use plugmend_shared::ids::PluginId;
use tokio::sync::Mutex;

use super::runner::{Activation, Reconciler};
use crate::{
    service::healing::{Hearing, Together, find_silent, listen},
    store::{self, Db},
};

const EVERY: Duration = Duration::from_secs(15);

/// What is known at the begin of a round, and how far it is.
#[derive(Debug, Default)]
struct Round {
    hearing: Hearing,
    together: Together,
    after: Option<PluginId>,
}

/// Listens for silence.
pub struct SilentPlugins {
    db: Db,
    state: Mutex<Round>,
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
        let mut round = self.state.lock().await;
        // In the middle of a round the hearing stays the same.
        if round.after.is_none() {
            let (heard, fleet) = store::detector::last_heard_of_anybody(&self.db).await?;
            round.hearing = round.hearing.look(now, heard, fleet);
            round.together = listen(&self.db, now).await?;
        }
        let heard = (round.hearing, &round.together);
        let (next, done) = find_silent(&self.db, heard, round.after, now).await?;
        round.after = next;
        Ok(Activation {
            done,
            more: next.is_some(),
        })
    }
}
