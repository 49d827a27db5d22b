//! Runs a reconciler until told to stop.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use plugmend_shared::clock::Clock;
use tokio::sync::{Notify, watch};

/// How many full batches follow each other before others get their turn, and how long that is at most.
const MOST_BATCHES: u32 = 20;
const BREATH: Duration = Duration::from_secs(2);

/// Work that brings what is nearer to what should be.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// Its name, in log and status.
    fn name(&self) -> &'static str;

    /// How often it looks, hint or not.
    fn every(&self) -> Duration;

    /// Looks once and does one bounded batch, at the moment `now`. Doing so again does no harm.
    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation>;
}

/// What one activation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activation {
    /// How many things it changed.
    pub done: u64,
    /// Whether there is more than fitted into the batch.
    pub more: bool,
}

/// How a reconciler is doing, for operators and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// How many activations have ended.
    pub activations: u64,
    /// How many things were changed, in all.
    pub done: u64,
    /// When the last activation ended.
    pub last_ended: Option<Timestamp>,
    /// Why it failed, when it did.
    pub last_error: Option<String>,
}

/// Gives a reconciler the hint that there may be something to do.
#[derive(Debug, Clone)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Gives the hint; several before it looks are one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// A reconciler with its timer, its signal and its status.
pub struct Runner {
    reconciler: Arc<dyn Reconciler>,
    clock: Arc<dyn Clock>,
    signal: Arc<Notify>,
    status: watch::Sender<Status>,
}

impl Runner {
    /// Prepares a reconciler.
    pub fn new(reconciler: Arc<dyn Reconciler>, clock: Arc<dyn Clock>) -> Self {
        Self {
            reconciler,
            clock,
            signal: Arc::default(),
            status: watch::Sender::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.reconciler.name()
    }

    /// What gives it hints.
    pub fn wake(&self) -> Wake {
        Wake(Arc::clone(&self.signal))
    }

    /// How it is doing, now and later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Activates it at once, then on each hint and each time its interval is over, until `stop` turns true. A batch
    /// that has begun is finished.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let mut more = true;
            for _ in 0..MOST_BATCHES {
                more = self.activate_once().await;
                if !more || *stop.borrow() {
                    break;
                }
            }
            let every = self.reconciler.every();
            let pause = if more { every.min(BREATH) } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.signal.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn activate_once(&self) -> bool {
        let name = self.reconciler.name();
        let outcome = self.reconciler.activate(self.clock.now()).await;
        let now = self.clock.now();
        self.status.send_modify(|status| {
            status.activations += 1;
            status.last_ended = Some(now);
            match &outcome {
                Ok(activation) => {
                    status.done += activation.done;
                    status.last_error = None;
                }
                Err(error) => status.last_error = Some(format!("{error:#}")),
            }
        });
        let word = if outcome.is_ok() { "done" } else { "failed" };
        metrics::counter!("plugmend_job_runs_total", "job" => name, "outcome" => word).increment(1);
        match outcome {
            Ok(activation) => {
                metrics::counter!("plugmend_job_done_total", "job" => name).increment(activation.done);
                if activation.done > 0 {
                    tracing::info!(job = name, done = activation.done, "reconciled");
                }
                activation.more
            }
            Err(error) => {
                tracing::warn!(
                    job = name,
                    error = format!("{error:#}"),
                    "could not reconcile; trying again later"
                );
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plugmend_shared::clock::SystemClock;

    use super::*;

    struct Counted(std::sync::atomic::AtomicU64);

    #[async_trait]
    impl Reconciler for Counted {
        fn name(&self) -> &'static str {
            "counted"
        }

        fn every(&self) -> Duration {
            Duration::from_hours(1)
        }

        async fn activate(&self, _now: Timestamp) -> anyhow::Result<Activation> {
            let before = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            anyhow::ensure!(before != 2, "the third time fails");
            Ok(Activation {
                done: 1,
                more: before == 0,
            })
        }
    }

    struct Backlog(std::sync::atomic::AtomicU64);

    #[async_trait]
    impl Reconciler for Backlog {
        fn name(&self) -> &'static str {
            "backlog"
        }

        fn every(&self) -> Duration {
            Duration::from_hours(1)
        }

        async fn activate(&self, _now: Timestamp) -> anyhow::Result<Activation> {
            let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Activation {
                done: 1,
                more: left > 1,
            })
        }
    }

    #[tokio::test]
    async fn a_long_backlog_does_not_wait_for_the_next_interval() {
        let batches = u64::from(MOST_BATCHES) + 5;
        let runner = Runner::new(Arc::new(Backlog(batches.into())), Arc::new(SystemClock));
        let mut status = runner.status();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(runner.run(stopped));
        let done = status.wait_for(|status| status.done == batches);
        tokio::time::timeout(Duration::from_mins(1), done)
            .await
            .unwrap()
            .unwrap();
        stop.send_replace(true);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn it_looks_at_start_while_there_is_more_and_on_a_hint() {
        let runner = Runner::new(Arc::new(Counted(0.into())), Arc::new(SystemClock));
        let (wake, mut status) = (runner.wake(), runner.status());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(runner.run(stopped));
        status
            .wait_for(|status| status.activations == 2 && status.done == 2)
            .await
            .unwrap();
        wake.wake();
        let failed = status.wait_for(|status| status.activations == 3).await.unwrap().clone();
        assert_eq!(failed.last_error.as_deref(), Some("the third time fails"));
        wake.wake();
        status
            .wait_for(|status| status.activations == 4 && status.last_error.is_none())
            .await
            .unwrap();
        stop.send_replace(true);
        task.await.unwrap();
    }
}
