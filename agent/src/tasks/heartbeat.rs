//! Closes windows in time, and sends what is spooled, oldest first.

use std::time::Duration;

use plugmend_shared::protocol::{
    heartbeat::{Heartbeat, HeartbeatAnswer, Tuning},
    problem::Problem,
};
use tokio::{sync::watch, time::sleep};
use tracing::debug;

pub use super::report::{Installed, ReporterOptions};
use super::{
    Common,
    board::chain,
    report::{BATCH, MAX_WINDOW_BYTES, Reporter},
    unless_stopped,
    window::Closer,
};
use crate::{
    domain::schedule::{Rhythm, clamp_interval},
    store::{Counted, Sequence, StoreError, or_nothing},
    upstream::client::ClientError,
};

/// After a store that failed.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// The task.
pub struct HeartbeatTask {
    common: Common,
    closer: Closer,
    reporter: Reporter,
    rhythm: Rhythm,
    tuning: Option<Tuning>,
    installed: watch::Receiver<Installed>,
    /// Fewer while the control plane refuses batches: finds the window that it does not take.
    batch: usize,
}

impl HeartbeatTask {
    /// Takes up where the last life of the agent left, as far as the store can be read.
    pub fn open(
        common: Common,
        sequence: Sequence,
        reporter: ReporterOptions,
        interval_s: u32,
        installed: watch::Receiver<Installed>,
    ) -> Self {
        let wall = common.clock.now();
        let rolling = or_nothing(common.kept.rolling(wall));
        let tuning = or_nothing(common.kept.tuning());
        let interval = clamp_interval(tuning.as_ref().map_or(interval_s, |tuning| tuning.heartbeat_interval_s));
        let rhythm = Rhythm::start(common.client.names().1, interval, (common.random)());
        common
            .board
            .show(|shown| shown.heartbeat_interval_s = interval.as_secs());
        Self {
            closer: Closer::open(sequence, rolling, &common.hub, wall),
            reporter: Reporter::new(reporter),
            rhythm,
            tuning,
            installed,
            batch: BATCH,
            common,
        }
    }

    /// Runs until the agent stops; closes a last window then, so that nothing that was counted is lost.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let urgent = self.common.urgent.clone();
        loop {
            let wait = self.rhythm.wake_at().saturating_sub(self.now());
            let installed = &mut self.installed;
            let woken = async {
                tokio::select! {
                    () = sleep(wait) => false,
                    () = urgent.notified() => true,
                    // What is installed has changed: the control plane should not have to wait for it.
                    Ok(()) = installed.changed() => true,
                }
            };
            let Some(urgent) = unless_stopped(woken, &mut stop).await else {
                break;
            };
            if urgent {
                let now = self.now();
                let illness = !self.common.board.shown().early.is_empty();
                self.rhythm.urgent(now, illness);
            }
            let Some(done) = unless_stopped(self.turn(), &mut stop).await else {
                break;
            };
            self.common
                .board
                .trouble("store", done.as_ref().err().map(|error| chain(error)));
            if done.is_err() && unless_stopped(sleep(AFTER_TROUBLE), &mut stop).await.is_none() {
                break;
            }
        }
        let now = self.common.clock.now();
        if let Err(error) = self.closer.close(&self.common.hub, &self.common.kept, now) {
            tracing::warn!("the last window could not be kept: {}", chain(&error));
        }
    }

    async fn turn(&mut self) -> Result<(), StoreError> {
        let due = self.rhythm.due(self.now());
        if due.close {
            let (now, wall) = (self.now(), self.common.clock.now());
            self.rhythm.closed(now, wall);
            self.closer.close(&self.common.hub, &self.common.kept, wall)?;
            self.common.kept.keep_env(&self.common.hub.heard().env)?;
        }
        if due.send {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        if !self.common.board.shown().standing.may_speak() {
            self.rhythm.failed(self.now(), (self.common.random)());
            return Ok(());
        }
        let windows = self.common.kept.oldest(self.batch, MAX_WINDOW_BYTES)?;
        let last = windows.last().map(|window| window.seq);
        let count = windows.len();
        let seq = self.closer.sequence.next(Counted::Heartbeat, &self.common.kept)?;
        let installed = self.installed.borrow_and_update().clone();
        let heartbeat = self
            .reporter
            .heartbeat(&self.common, seq, windows, &self.closer.rolling, installed)?;
        let result = self.post(&heartbeat).await;
        self.common.board.outcome(&result, self.common.clock.now());
        match result {
            Ok(answer) => {
                // What was found meanwhile waits for the next.
                let told = heartbeat.early.len();
                self.common
                    .board
                    .show(|shown| drop(shown.early.drain(..told.min(shown.early.len()))));
                self.answered(last, answer)
            }
            Err(ClientError::Refused(problem)) if is_about_windows(&problem) => {
                self.refused(last, count, &words(&problem))
            }
            Err(error) => {
                if let ClientError::Refused(problem) = &error {
                    let words = format!("the control plane refuses it: {}", words(problem));
                    self.common.board.trouble("heartbeat", Some(words));
                }
                let asked = error.retry_after().unwrap_or_default();
                let wait = self.rhythm.failed(self.now(), (self.common.random)());
                debug!(
                    "the heartbeat was not answered, next try in {:?}: {}",
                    wait.max(asked),
                    chain(&error)
                );
                Ok(())
            }
        }
    }

    async fn post(&self, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, ClientError> {
        self.common.client.heartbeat(heartbeat).await
    }

    fn answered(&mut self, last: Option<u64>, answer: HeartbeatAnswer) -> Result<(), StoreError> {
        if let Some(last) = last {
            self.common.kept.confirmed(last)?;
        }
        self.batch = (self.batch * 2).min(BATCH);
        // What could not be read this time is none the easier to read at once.
        let more = last.is_some() && self.common.kept.spool_size().windows > 0;
        self.rhythm.answered(self.now(), more, (self.common.random)());
        let wall = self.common.clock.now();
        self.common.board.show(|shown| shown.last_answer = Some(wall));
        self.common.board.trouble("heartbeat", None);
        for command in answer.commands {
            self.common.orders.take(command, wall)?;
        }
        if let Some(note) = answer.audit {
            self.common.kept.witness(&note)?;
        }
        if let Some(tuning) = answer.tuning {
            self.tune(tuning)?;
        }
        self.common.answers.notify_one();
        Ok(())
    }

    fn tune(&mut self, tuning: Tuning) -> Result<(), StoreError> {
        let interval = clamp_interval(tuning.heartbeat_interval_s);
        let (now, wall) = (self.now(), self.common.clock.now());
        self.rhythm.tune(interval, now, wall);
        self.common
            .board
            .show(|shown| shown.heartbeat_interval_s = interval.as_secs());
        if self.tuning.as_ref() != Some(&tuning) {
            self.common.kept.tune(&tuning)?;
            self.tuning = Some(tuning);
        }
        Ok(())
    }

    /// The control plane does not take this batch and will not take it tomorrow. Smaller batches find the window that
    /// it does not take; that one alone is dropped, and counted.
    fn refused(&mut self, last: Option<u64>, count: usize, why: &str) -> Result<(), StoreError> {
        self.rhythm.failed(self.now(), (self.common.random)());
        match last {
            Some(last) if count == 1 => {
                tracing::error!(
                    window = last,
                    "the control plane refuses a window, which is dropped: {why}"
                );
                self.common.kept.refused(last)?;
            }
            Some(_) => self.batch = (count / 2).max(1),
            None => {}
        }
        self.common
            .board
            .trouble("heartbeat", Some(format!("the control plane refuses it: {why}")));
        Ok(())
    }

    fn now(&self) -> Duration {
        self.common.hub.elapsed()
    }
}

/// Whether a refusal is about the windows that a heartbeat carries: only then may one of them be given up.
fn is_about_windows(problem: &Problem) -> bool {
    problem.status == 413 || problem.code == "invalid_window"
}

fn words(problem: &Problem) -> String {
    match &problem.detail {
        Some(detail) => format!("{} ({detail})", problem.title),
        None => problem.title.clone(),
    }
}
