//! Start, run and stop, as three visible phases.
//!
//! The first signal (TERM, INT) asks every task to finish; a second one, or [`GRACE`] without an end, cuts them. Being
//! cut is safe: the ledger is settled at the next start. A task that ends by itself ends the agent, with a failing exit
//! code, so that the service manager starts it again.

mod notify;

use std::{future::Future, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tracing::{error, info, warn};

/// How long tasks may take to finish.
const GRACE: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Asked to stop, and all tasks finished.
    Stopped,
    /// Asked to stop, and some task had to be cut.
    Cut,
    /// A task ended by itself.
    TaskDied,
}

/// The tasks of a running agent.
pub struct Lifecycle {
    stop: watch::Sender<bool>,
    tasks: JoinSet<&'static str>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            stop: watch::Sender::new(false),
            tasks: JoinSet::new(),
        }
    }
}

impl Lifecycle {
    /// What tasks look at to know when to finish.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Starts a task. It may end only after it was asked to.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Runs until a signal or the death of a task, then stops everything.
    ///
    /// # Errors
    /// When signals can not be listened for.
    pub async fn run(mut self) -> std::io::Result<End> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let watchdog = tokio::spawn(notify::watchdog());
        notify::send("READY=1");
        info!("running");
        let died = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            ended = self.tasks.join_next() => {
                error!(task = name_of(ended), "a task ended by itself; the agent stops so that it is started anew");
                true
            }
        };
        notify::send("STOPPING=1");
        info!("stopping; a second signal cuts what is still running");
        self.stop.send_replace(true);
        let finished = tokio::select! {
            all = timeout(GRACE, finish(&mut self.tasks)) => all.is_ok(),
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
        };
        if !finished {
            warn!("some tasks did not finish and are cut; what they left open is settled at the next start");
        }
        self.tasks.abort_all();
        watchdog.abort();
        Ok(match (died, finished) {
            (true, _) => End::TaskDied,
            (false, true) => End::Stopped,
            (false, false) => End::Cut,
        })
    }
}

async fn finish(tasks: &mut JoinSet<&'static str>) {
    while tasks.join_next().await.is_some() {}
}

fn name_of(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> &'static str {
    match ended {
        Some(Ok(name)) => name,
        Some(Err(error)) if error.is_panic() => "one that panicked",
        _ => "unknown",
    }
}
