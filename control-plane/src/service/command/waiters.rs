//! Who waits for orders in this process: a bounded register that wake-ups go through.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use plugmend_shared::ids::PluginId;
use thiserror::Error;
use tokio::sync::Notify;

/// How many are woken at once when nobody knows for whom something waits, and the pause between.
const WAKE_CHUNK: usize = 100;
const WAKE_PAUSE: Duration = Duration::from_millis(20);

/// The register.
#[derive(Debug, Clone)]
pub struct Waiters(Arc<Register>);

#[derive(Debug)]
struct Register {
    by_plugin: Mutex<HashMap<PluginId, Arc<Bell>>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Bell {
    ring: Notify,
    superseded: AtomicBool,
}

/// The register is full.
#[derive(Debug, Error)]
#[error("too many long polls at once")]
pub struct TooManyWaiters;

/// One who waits; leaves the register when dropped.
#[derive(Debug)]
pub struct Waiter {
    register: Arc<Register>,
    plugin_id: PluginId,
    bell: Arc<Bell>,
}

impl Waiters {
    /// A register for at most `most`.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Register {
            by_plugin: Mutex::default(),
            most,
        }))
    }

    /// Enters a plugin. A plugin waits once: who waited before for the same is told to go.
    ///
    /// # Errors
    /// When the register is full.
    pub fn enter(&self, plugin_id: PluginId) -> Result<Waiter, TooManyWaiters> {
        let bell = Arc::new(Bell::default());
        let mut by_plugin = self.0.lock();
        if by_plugin.len() >= self.0.most && !by_plugin.contains_key(&plugin_id) {
            return Err(TooManyWaiters);
        }
        if let Some(before) = by_plugin.insert(plugin_id, Arc::clone(&bell)) {
            before.superseded.store(true, Ordering::Release);
            before.ring.notify_one();
        }
        drop(by_plugin);
        Ok(Waiter {
            register: Arc::clone(&self.0),
            plugin_id,
            bell,
        })
    }

    /// Wakes the one who waits for `plugin_id`, if any.
    pub fn wake(&self, plugin_id: PluginId) {
        if let Some(bell) = self.0.lock().get(&plugin_id) {
            bell.ring.notify_one();
        }
    }

    /// Wakes everybody, some at a time, so that the database is not asked by all at once.
    pub async fn wake_everybody(&self) {
        let bells: Vec<Arc<Bell>> = self.0.lock().values().cloned().collect();
        for chunk in bells.chunks(WAKE_CHUNK) {
            for bell in chunk {
                bell.ring.notify_one();
            }
            tokio::time::sleep(WAKE_PAUSE).await;
        }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Register {
    fn lock(&self) -> MutexGuard<'_, HashMap<PluginId, Arc<Bell>>> {
        // Nothing is left half done under this lock, so a panic elsewhere does not spoil it.
        self.by_plugin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Returns when woken; at once when that happened since the last time.
    pub async fn woken(&self) {
        self.bell.ring.notified().await;
    }

    /// Whether somebody else waits in its place now.
    pub fn is_superseded(&self) -> bool {
        self.bell.superseded.load(Ordering::Acquire)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut by_plugin = self.register.lock();
        if by_plugin
            .get(&self.plugin_id)
            .is_some_and(|bell| Arc::ptr_eq(bell, &self.bell))
        {
            by_plugin.remove(&self.plugin_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(n: u128) -> PluginId {
        PluginId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let waiters = Waiters::new(10);
        let waiter = waiters.enter(plugin(1)).unwrap();
        waiters.wake(plugin(1));
        waiter.woken().await;
    }

    #[tokio::test]
    async fn a_second_poll_of_a_plugin_sends_the_first_away() {
        let waiters = Waiters::new(1);
        let first = waiters.enter(plugin(1)).unwrap();
        let second = waiters.enter(plugin(1)).unwrap();
        first.woken().await;
        assert!(first.is_superseded() && !second.is_superseded());
        drop(first);
        assert_eq!(waiters.count(), 1);
        drop(second);
        assert_eq!(waiters.count(), 0);
    }

    #[test]
    fn the_register_is_bounded() {
        let waiters = Waiters::new(1);
        let _one = waiters.enter(plugin(1)).unwrap();
        assert!(waiters.enter(plugin(2)).is_err());
    }
}
