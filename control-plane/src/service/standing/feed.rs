//! Keeps the memory in step: by notifications at once, and by asking now and then in case some were lost.

use std::{collections::HashMap, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::Standings;
use crate::store::standing_feed::{StandingFeed, StandingNews, changed_lately};

/// How long to wait before the database is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Standings {
    /// Follows the database until told to stop.
    pub async fn follow(&self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        tokio::select! {
            () = self.listen() => {}
            () = self.poll() => {}
            // An error means that whoever could ask us to stop is gone: stop.
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok(())
    }

    async fn listen(&self) {
        loop {
            match StandingFeed::open(&self.db).await {
                Ok(mut feed) => {
                    // Nobody was listening until now.
                    self.apply(&StandingNews::Anybody);
                    while let Ok(news) = feed.next().await {
                        self.apply(&news);
                    }
                }
                Err(error) => tracing::debug!(%error, "no news of standings; asking the database instead"),
            }
            sleep(AGAIN).await;
        }
    }

    async fn poll(&self) {
        let mut known = HashMap::new();
        loop {
            match changed_lately(&self.db).await {
                Ok(Some(changed)) => {
                    let changed: HashMap<_, _> = changed.into_iter().collect();
                    for (plugin, at) in &changed {
                        if known.get(plugin) != Some(at) {
                            self.forget(*plugin);
                        }
                    }
                    known = changed;
                    self.cache.in_step();
                }
                Ok(None) => {
                    self.apply(&StandingNews::Anybody);
                    self.cache.in_step();
                }
                // The memory is not believed until the database answers again.
                Err(error) => tracing::warn!(%error, "the standings of agents can not be followed"),
            }
            sleep(self.options.poll).await;
        }
    }
}
