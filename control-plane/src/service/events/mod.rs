//! What happens, live: one reader a process follows the database, and everybody who watches is served from its memory; who has
//! fallen further behind reads from the database, where nothing is lost for days.

mod follow;
mod memory;
mod watchers;

use std::sync::{Arc, Mutex, PoisonError};

use plugmend_shared::ids::MerchantId;
use tokio::sync::watch;

pub use watchers::{Admission, TooMany};

use self::{memory::Memory, watchers::Watchers};
use crate::store::{
    Db, StoreError,
    ops_event::{self, Kept, OpsEvent},
};

/// Events in one part of what a watcher is sent.
const PART: usize = 200;

/// The live events of this process.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    memory: Mutex<Memory>,
    newest: watch::Sender<i64>,
    watchers: Arc<Watchers>,
    stop: watch::Receiver<bool>,
}

/// A part of what happened.
#[derive(Debug, Clone)]
pub struct Part {
    /// In their order.
    pub events: Vec<Arc<OpsEvent>>,
    /// Where to go on from: everything up to here was looked at.
    pub reached: i64,
}

impl Events {
    /// For one process; follow it with [`Events::follow`]. Ends when `stop` turns true.
    pub fn new(db: Db, stop: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Inner {
            db,
            memory: Mutex::default(),
            newest: watch::Sender::new(0),
            watchers: Arc::default(),
            stop,
        }))
    }

    /// A place among those who watch, for as long as it is held.
    ///
    /// # Errors
    /// When there are too many, or too many of this caller's.
    pub fn admit(&self, who: &str) -> Result<Admission, TooMany> {
        Watchers::admit(&self.0.watchers, who)
    }

    /// Tells of each new position.
    pub fn newest(&self) -> watch::Receiver<i64> {
        self.0.newest.subscribe()
    }

    /// Tells when to end.
    pub fn stop(&self) -> watch::Receiver<bool> {
        self.0.stop.clone()
    }

    /// What is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn kept(&self) -> Result<Kept, StoreError> {
        ops_event::kept(&self.0.db).await
    }

    /// The next part behind a position, of one merchant or of all. It is empty at the end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn since(&self, position: i64, merchant_id: Option<MerchantId>) -> Result<Part, StoreError> {
        let remembered = self.memory().since(position, merchant_id, PART);
        if let Some(part) = remembered {
            return Ok(part);
        }
        // What is read up to must be known before: an event may come in between.
        let newest = *self.0.newest.borrow();
        let limit = i64::try_from(PART).unwrap_or(1);
        let events = ops_event::after(&self.0.db, position, merchant_id, limit).await?;
        let is_full = events.len() == PART;
        let last = events.last().map(|event| event.position);
        let reached = if is_full { last } else { last.max(Some(newest)) };
        Ok(Part {
            events: events.into_iter().map(Arc::new).collect(),
            reached: reached.unwrap_or(position).max(position),
        })
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
