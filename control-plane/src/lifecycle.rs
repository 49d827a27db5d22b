//! Start, run and stop, as three visible phases.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogSettings};

/// How long tasks may take to finish after the first signal.
const GRACE: Duration = Duration::from_secs(20);

/// Turns true once, when tasks should finish what they have begun and end.
pub type Stop = watch::Receiver<bool>;

/// The tasks of one process. A task that ends before it was asked to is a failure of the whole process.
pub struct Lifecycle {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: watch::Sender<bool>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// No tasks yet.
    pub fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// What a task watches to learn that it should finish.
    pub fn stop(&self) -> Stop {
        self.stop.subscribe()
    }

    /// Starts a task under a name that the log will use.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs until a signal or until a task ends by itself; then asks all to finish, and cuts them after the grace
    /// time or at a second signal.
    ///
    /// # Errors
    /// When a task failed or ended unasked, or tasks had to be cut.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut signals = Signals::listen()?;
        let early = tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "asked to stop; finishing what has begun");
                Ok(())
            }
            ended = self.tasks.join_next() => describe_early_end(ended),
        };
        self.stop.send_replace(true);
        let finished = tokio::select! {
            result = finish(&mut self.tasks) => result,
            () = tokio::time::sleep(GRACE) => Err(anyhow::anyhow!("tasks did not finish within {} s", GRACE.as_secs())),
            name = signals.next() => Err(anyhow::anyhow!("cut short by a second signal ({name})")),
        };
        self.tasks.abort_all();
        early.and(finished)
    }
}

type Joined = Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>;

fn describe_early_end(ended: Option<Joined>) -> anyhow::Result<()> {
    match ended {
        None => bail!("there is nothing to run: name at least one role"),
        Some(Ok((name, Ok(())))) => bail!("task {name} ended without being asked to"),
        Some(Ok((name, Err(error)))) => Err(error).with_context(|| format!("task {name} failed")),
        Some(Err(error)) => Err(error).context("a task panicked"),
    }
}

async fn finish(tasks: &mut JoinSet<(&'static str, anyhow::Result<()>)>) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let one = match ended {
            Ok((name, end)) => end.with_context(|| format!("task {name} failed while stopping")),
            Err(error) => Err(error).context("a task panicked while stopping"),
        };
        result = result.and(one);
    }
    result
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("can not listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("can not listen for SIGTERM")?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Sets up logging to standard error, once for the process.
///
/// # Errors
/// When the level is not one that can be read.
pub fn init_logging(log: &LogSettings) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.level).map_err(|_| ConfigError::Invalid {
        name: "LOG_LEVEL",
        why: format!(
            "'{}' is not error, warn, info, debug, trace, or target=level,...",
            log.level
        ),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second initialisation (several tests in one process) keeps the first.
    let _already_set = if log.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    Ok(())
}
