//! The long poll: an order is in the agent's hands as soon as it is given.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use plugmend_shared::{clock::Clock, ids::PluginId, protocol::command::Command};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    Recipient, take_due,
    waiters::{TooManyWaiters, Waiters},
};
use crate::store::{
    self, Db, StoreError,
    wakeup::{Ear, Hint},
};

/// An order whose delivery seems lost is not sent again earlier than this: an agent that polls at once while it still
/// writes the order down must not be answered in a circle.
const RESEND_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// The pause after which a deaf replica tries to listen again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Why a poll can not be held.
#[derive(Debug, Error)]
pub enum PollError {
    /// Too many wait already.
    #[error(transparent)]
    TooMany(#[from] TooManyWaiters),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Holds long polls.
#[derive(Clone)]
pub struct Polls {
    db: Db,
    clock: Arc<dyn Clock>,
    waiters: Waiters,
    stop: watch::Receiver<bool>,
}

impl Polls {
    /// For at most `most` at once; all are answered when `stop` turns true.
    pub fn new(db: Db, clock: Arc<dyn Clock>, most: usize, stop: watch::Receiver<bool>) -> Self {
        Self {
            db,
            clock,
            waiters: Waiters::new(most),
            stop,
        }
    }

    /// The register, for wake-ups within the process.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// The orders that are due for the agent of `plugin_id`, as soon as there are any; none when `wait` is over, when
    /// the process stops, or when the agent polls anew.
    ///
    /// # Errors
    /// When too many wait, or the database fails.
    pub async fn wait(&self, plugin_id: PluginId, wait: Duration) -> Result<Vec<Command>, PollError> {
        let deadline = Instant::now() + wait;
        let waiter = self.waiters.enter(plugin_id)?;
        let mut stop = self.stop.clone();
        loop {
            let commands = self.due(plugin_id).await?;
            if !commands.is_empty() {
                return Ok(commands);
            }
            tokio::select! {
                () = waiter.woken() => {}
                () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
                _ = stop.wait_for(|stop| *stop) => return Ok(Vec::new()),
            }
            if waiter.is_superseded() {
                return Ok(Vec::new());
            }
        }
    }

    async fn due(&self, plugin_id: PluginId) -> Result<Vec<Command>, StoreError> {
        let now = self.clock.now();
        if !store::command::may_have_due(&self.db, plugin_id, now).await? {
            return Ok(Vec::new());
        }
        let mut tx = self.db.begin().await?;
        let Some(plugin) = store::plugin::lock(&mut tx, plugin_id).await? else {
            return Ok(Vec::new());
        };
        let recipient = Recipient {
            id: plugin.id,
            agent_managed: plugin.agent_managed,
            capabilities: plugin.capabilities,
        };
        let mut taken = take_due(&mut tx, &[recipient], now, RESEND_AFTER).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(taken.remove(&plugin_id).unwrap_or_default())
    }

    /// Listens for the hints of other replicas until the process stops. A lost connection is made again; whatever was
    /// missed meanwhile is looked for.
    pub async fn listen(self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.hear_forever() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn hear_forever(&self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::warn!(error = %error, "can not hear the hints of the database; trying again");
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    async fn hear(&self) -> Result<(), StoreError> {
        let mut ear = Ear::open(&self.db).await?;
        let anybody = Notify::new();
        // What was said before we listened was not heard.
        anybody.notify_one();
        tokio::select! {
            heard = self.pass_on(&mut ear, &anybody) => heard,
            () = self.wake_everybody(&anybody) => Ok(()),
        }
    }

    async fn pass_on(&self, ear: &mut Ear, anybody: &Notify) -> Result<(), StoreError> {
        loop {
            match ear.next().await? {
                Hint::Plugins(plugins) => plugins.into_iter().for_each(|plugin| self.waiters.wake(plugin)),
                Hint::Anybody => anybody.notify_one(),
            }
        }
    }

    /// Beside the hints that name somebody: those must not wait until everybody was woken. What is asked for while it
    /// goes on is done once more, however often it was asked for.
    async fn wake_everybody(&self, anybody: &Notify) {
        loop {
            anybody.notified().await;
            self.waiters.wake_everybody().await;
        }
    }
}
