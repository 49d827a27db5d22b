//! Follows the database: on its hints at once, and now and then in case some were lost.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Events, PART};
use crate::store::{
    StoreError,
    ops_event::{self, EventFeed},
};

/// How often it looks without a hint.
const LOOK: Duration = Duration::from_secs(2);
/// How long to wait before the database is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Events {
    /// Follows the database until told to stop.
    pub async fn follow(self) {
        let mut stop = self.stop();
        tokio::select! {
            () = self.follow_for_ever() => {}
            // An error means that whoever could ask us to stop is gone: stop.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn follow_for_ever(&self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::warn!(%error, "can not follow what happens; trying again");
            }
            sleep(AGAIN).await;
        }
    }

    async fn listen(&self) -> Result<(), StoreError> {
        let mut feed = EventFeed::open(&self.0.db).await?;
        if *self.0.newest.borrow() == 0 {
            let newest = self.kept().await?.newest;
            self.memory().begin(newest);
            self.0.newest.send_replace(newest);
        }
        loop {
            self.catch_up().await?;
            // Being late is no fault: it looks by itself then.
            if let Ok(heard) = timeout(LOOK, feed.next()).await {
                heard?;
            }
        }
    }

    /// Gives waiting events their positions, whoever put them there, and reads what is new.
    async fn catch_up(&self) -> Result<(), StoreError> {
        while ops_event::place(&self.0.db).await? {}
        loop {
            let newest = *self.0.newest.borrow();
            let limit = i64::try_from(PART).unwrap_or(1);
            let events = ops_event::after(&self.0.db, newest, None, limit).await?;
            let is_full = events.len() == PART;
            if let Some(last) = events.last().map(|event| event.position) {
                self.memory().push(events);
                self.0.newest.send_replace(last);
            }
            if !is_full {
                return Ok(());
            }
        }
    }
}
