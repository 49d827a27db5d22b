//! Heartbeats: gathered into transactions (group commit), answered after the commit.
//!
//! A bounded queue feeds several flushers. Each takes up to a batch of heartbeats, or what came within a few
//! milliseconds, commits them at once, and answers them. While one waits for its commit another gathers.

mod batch;
mod detect;
mod facts;
mod flusher;
mod models;

use std::{sync::Arc, time::Duration};

use plugmend_shared::{
    clock::Clock,
    protocol::{command::Command, heartbeat::Heartbeat},
};
use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::Instant,
};

use crate::store::Db;
use flusher::Flusher;

/// How a sender proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By a certificate that was found good; the names in it are those in the heartbeat.
    Agent,
    /// By a plugin secret; this is its keyed hash, still to be compared.
    Secret([u8; 32]),
}

/// A heartbeat that was checked for sense, not yet for its sender's right to send it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// What is said.
    pub heartbeat: Heartbeat,
    /// How the sender proved who it is.
    pub proof: Proof,
    /// What a plugin without agent declares it can do; none when it says nothing about it.
    pub capabilities: Option<Vec<String>>,
}

/// Why a heartbeat was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IngestError {
    /// The queue is full; the sender should come back.
    #[error("too many heartbeats at once")]
    Full,
    /// The database is away; nothing was taken.
    #[error("the database is not available")]
    Unavailable,
    /// Somebody else holds the plugin's row; nothing was taken.
    #[error("the plugin is in somebody else's hands in the database")]
    Held,
    /// The sender is not who it says it is.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The database refused this one.
    #[error("the heartbeat could not be stored")]
    Failed,
}

/// How to gather.
#[derive(Debug, Clone, Copy)]
pub struct IngestOptions {
    /// How many transactions may be under way at once.
    pub flushers: usize,
    /// How many heartbeats go into one at most.
    pub batch: usize,
    /// How long the first of a batch waits for others.
    pub delay: Duration,
    /// How many heartbeats may wait.
    pub queue: usize,
}

/// The way in. When the last of its clones is gone, the flushers finish what is queued and end.
#[derive(Debug, Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Item>,
}

struct Item {
    arrival: Arrival,
    since: Instant,
    answer: oneshot::Sender<Result<Vec<Command>, IngestError>>,
}

/// Prepares the way in and the flushers behind it; run each to its end.
pub fn start(
    db: &Db,
    clock: &Arc<dyn Clock>,
    options: IngestOptions,
) -> (Ingest, Vec<impl Future<Output = ()> + Send + 'static>) {
    let (queue, items) = mpsc::channel(options.queue);
    let items = Arc::new(Mutex::new(items));
    let fleet = Arc::default();
    let flushers = (0..options.flushers)
        .map(|_| {
            let flusher = Flusher {
                db: db.clone(),
                clock: Arc::clone(clock),
                items: Arc::clone(&items),
                batch: options.batch,
                delay: options.delay,
                fleet: Arc::clone(&fleet),
            };
            flusher.run()
        })
        .collect();
    (Ingest { queue }, flushers)
}

impl Ingest {
    /// Takes a heartbeat; returns after it was committed, with the orders that wait for its sender.
    ///
    /// # Errors
    /// When nothing was taken.
    pub async fn take(&self, arrival: Arrival) -> Result<Vec<Command>, IngestError> {
        let since = Instant::now();
        let outcome = self.queued(arrival, since).await;
        observe(since, &outcome);
        outcome
    }

    async fn queued(&self, arrival: Arrival, since: Instant) -> Result<Vec<Command>, IngestError> {
        let (answer, answered) = oneshot::channel();
        let item = Item { arrival, since, answer };
        self.queue.try_send(item).map_err(|_| IngestError::Full)?;
        answered.await.unwrap_or(Err(IngestError::Unavailable))
    }
}

/// What became of a heartbeat, and how long its sender waited for that.
fn observe(since: Instant, outcome: &Result<Vec<Command>, IngestError>) {
    metrics::histogram!("plugmend_heartbeat_seconds").record(since.elapsed().as_secs_f64());
    let word = match outcome {
        Ok(_) => "taken",
        Err(IngestError::Full) => "full",
        Err(IngestError::Unavailable) => "unavailable",
        Err(IngestError::Held) => "held",
        Err(IngestError::Unauthorized(_)) => "unauthorized",
        Err(IngestError::Failed) => "failed",
    };
    metrics::counter!("plugmend_heartbeats_total", "outcome" => word).increment(1);
}
