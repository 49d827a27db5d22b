//! One of several that commit batches.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{clock::Clock, protocol::command::Command};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, timeout_at},
};

use super::{Arrival, IngestError, Item, batch, models::Fleet};
use crate::{
    domain::heartbeat::OLDEST_WINDOW,
    store::{self, Db, StoreError},
};

/// A heartbeat that waited longer is not worth committing: its sender has gone and will come back.
const STALE: Duration = Duration::from_secs(15);
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

impl Flusher {
    /// Commits batches until the queue is closed and empty.
    pub async fn run(self) {
        while let Some(mut items) = self.gather().await {
            items.retain(|item| item.since.elapsed() < STALE && !item.answer.is_closed());
            let (arrivals, answers): (Vec<_>, Vec<_>) =
                items.into_iter().map(|item| (item.arrival, item.answer)).unzip();
            let outcomes = self.commit_all(&arrivals).await;
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // The sender may have hung up; its heartbeat is stored all the same.
                let _gone = answer.send(outcome);
            }
        }
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
            other => other,
        }
    }
}

fn refused(error: &StoreError) -> IngestError {
    tracing::error!(error = %error, source = ?std::error::Error::source(error), "a heartbeat was refused by the database");
    IngestError::Failed
}
