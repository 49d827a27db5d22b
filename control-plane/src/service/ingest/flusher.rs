//! One of several that commit batches.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{clock::Clock, protocol::command::Command};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use super::{Arrival, IngestError, Item, batch, models::Fleet};
use crate::{
    domain::heartbeat::OLDEST_WINDOW,
    store::{self, Db, StoreError},
};

/// A heartbeat that waited longer is not worth committing: its sender has gone and will come back.
const STALE: Duration = Duration::from_secs(15);
/// After these, plugins that somebody else holds are tried again: most are held for the length of an order's transaction.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(150),
    Duration::ZERO,
];
/// How far ahead partitions are made when one is found missing.
const AHEAD: SignedDuration = SignedDuration::from_hours(3 * 24);

pub(super) struct Flusher {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub items: Arc<Mutex<mpsc::Receiver<Item>>>,
    pub batch: usize,
    pub delay: Duration,
    pub fleet: Arc<Fleet>,
}

type Outcome = Result<Vec<Command>, IngestError>;
type Answer = oneshot::Sender<Outcome>;

impl Flusher {
    /// Commits batches until the queue is closed and empty.
    pub async fn run(self) {
        while let Some(mut items) = self.gather().await {
            items.retain(|item| item.since.elapsed() < STALE && !item.answer.is_closed());
            let mut batch: Vec<_> = items.into_iter().map(|item| (item.arrival, item.answer)).collect();
            metrics::histogram!("plugmend_ingest_batch_size").record(size(batch.len()));
            for pause in PAUSES {
                batch = self.commit_free(batch).await;
                if batch.is_empty() {
                    break;
                }
                sleep(pause).await;
            }
            for (arrival, answer) in batch {
                tracing::warn!(plugin = %arrival.heartbeat.plugin_id, "not stored: its row is held by somebody else");
                let _gone = answer.send(Err(IngestError::Held));
            }
        }
    }

    /// Commits and answers the heartbeats of plugins that nobody else holds; the others come back.
    async fn commit_free(&self, batch: Vec<(Arrival, Answer)>) -> Vec<(Arrival, Answer)> {
        let (arrivals, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let outcomes = self.commit_all(&arrivals).await;
        let mut held = Vec::new();
        for ((arrival, answer), outcome) in arrivals.into_iter().zip(answers).zip(outcomes) {
            if matches!(outcome, Err(IngestError::Held)) {
                held.push((arrival, answer));
            } else {
                // The sender may have hung up; its heartbeat is stored all the same.
                let _gone = answer.send(outcome);
            }
        }
        held
    }

    /// The next batch; none when the queue is closed.
    async fn gather(&self) -> Option<Vec<Item>> {
        let mut queue = self.items.lock().await;
        let mut items = vec![queue.recv().await?];
        let until = Instant::now() + self.delay;
        while items.len() < self.batch {
            let room = self.batch - items.len();
            match timeout_at(until, queue.recv_many(&mut items, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        Some(items)
    }

    async fn commit_all(&self, arrivals: &[Arrival]) -> Vec<Outcome> {
        if arrivals.is_empty() {
            return Vec::new();
        }
        let now = self.clock.now();
        match self.commit(arrivals, now).await {
            Ok(outcomes) => outcomes,
            Err(StoreError::Unavailable(error)) => {
                tracing::warn!(error = %error, heartbeats = arrivals.len(), "not stored; their senders will come back");
                vec![Err(IngestError::Unavailable); arrivals.len()]
            }
            // One that the database refuses must not take the others with it.
            Err(error) if arrivals.len() > 1 => {
                tracing::warn!(error = %error, "a batch was refused; trying its heartbeats one by one");
                self.commit_singly(arrivals, now).await
            }
            Err(error) => vec![Err(refused(&error))],
        }
    }

    async fn commit_singly(&self, arrivals: &[Arrival], now: Timestamp) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            outcomes.push(match self.commit(std::slice::from_ref(arrival), now).await {
                Ok(mut one) => one.pop().unwrap_or(Err(IngestError::Failed)),
                Err(StoreError::Unavailable(_)) => Err(IngestError::Unavailable),
                Err(error) => Err(refused(&error)),
            });
        }
        outcomes
    }

    async fn commit(&self, arrivals: &[Arrival], now: Timestamp) -> Result<Vec<Outcome>, StoreError> {
        match batch::commit(&self.db, arrivals, &self.fleet, now).await {
            Err(error) if error.is_missing_partition() => {
                let first = now.checked_sub(OLDEST_WINDOW).unwrap_or(now);
                let last = now.checked_add(AHEAD).unwrap_or(now);
                store::telemetry::ensure_partitions(&self.db, first, last).await?;
                batch::commit(&self.db, arrivals, &self.fleet, now).await
            }
            Err(error) if error.was_given_up() => batch::commit(&self.db, arrivals, &self.fleet, now).await,
            other => other,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn size(n: usize) -> f64 {
    n as f64
}

fn refused(error: &StoreError) -> IngestError {
    tracing::error!(error = %error, source = ?std::error::Error::source(error), "a heartbeat was refused by the database");
    IngestError::Failed
}
