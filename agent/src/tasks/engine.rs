//! Carries orders out, one at a time, on a thread of its own: the engine blocks on files and programs, and telemetry
//! and heartbeats go on meanwhile.

mod integrity;

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use plugmend_shared::{
    ids::CommandId,
    protocol::command::{Ack, Fail},
};
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    time::sleep_until,
};
use tracing::{error, info};

use super::{
    Common, Orders, Wish, age,
    board::{InHand, chain},
    heartbeat::Installed,
    local::Reply,
    progress::Teller,
};
use crate::{
    engine::{Ended, Engine, NoProgress, ProgressSink, Signals},
    platform::watcher::Watcher,
    store::{Answer, Order, StoreError},
    tasks::board::Board,
    upstream::repo::Transport,
};

/// After a result that could not be kept.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// What a person on the host wants of the engine.
#[derive(Debug)]
pub enum Job {
    /// Back to the release before, or to the one named.
    Rollback {
        /// The version to go back to.
        to: Option<semver::Version>,
        /// Also from a release that changed its data.
        force: bool,
        /// Whether a change was in hand, and was called back.
        called_back: bool,
        /// Held until it is carried out.
        wish: Wish,
        /// Where the answer goes.
        reply: oneshot::Sender<Reply>,
    },
    /// Compare the installed files with the signed manifest.
    Verify(oneshot::Sender<Reply>),
    /// Look for what could keep it from its work.
    Doctor(oneshot::Sender<Reply>),
}

/// What the engine shows of itself.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What is installed, for heartbeats.
    pub installed: watch::Sender<Installed>,
    /// Its whole status, for people.
    pub status: watch::Sender<Value>,
}

/// The task.
pub struct EngineTask<T> {
    engine: Engine<T>,
    common: Common,
    jobs: mpsc::Receiver<Job>,
    seen: Seen,
    signals: Arc<Signals>,
    /// Results that no disk took yet: of the order in hand, and of one that an earlier life left.
    unkept: VecDeque<(CommandId, Answer)>,
    keep_at: Instant,
    /// How the last change ended.
    last: Option<Ended>,
    integrity_at: Instant,
    watcher: Option<Watcher>,
    /// Changes that were seen are looked at from then on: a plugin that writes all the time costs a bounded share.
    listen_from: Instant,
}

impl<T: Transport + 'static> EngineTask<T> {
    /// A task for an engine that was opened.
    pub fn new(
        engine: Engine<T>,
        common: Common,
        jobs: mpsc::Receiver<Job>,
        seen: Seen,
        signals: Arc<Signals>,
    ) -> Self {
        let this = Self {
            engine,
            common,
            jobs,
            seen,
            signals,
            unkept: VecDeque::new(),
            keep_at: Instant::now(),
            last: None,
            integrity_at: Instant::now() + integrity::FIRST,
            watcher: None,
            listen_from: Instant::now(),
        };
        this.show();
        this
    }

    /// Runs until the agent stops. The engine leaves off where the next start can go on.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (handle, signals, its_stop) = (Handle::current(), self.signals.clone(), stop.clone());
        let (ended, mut has_ended) = oneshot::channel::<()>();
        let work = move || {
            handle.block_on(self.serve(its_stop));
            drop(ended);
        };
        if let Err(error) = thread::Builder::new().name("engine".to_owned()).spawn(work) {
            error!("the engine's thread can not be started: {error}");
            return;
        }
        tokio::select! {
            _ = &mut has_ended => return,
            _ = stop.wait_for(|stop| *stop) => signals.stop(),
        }
        let _ = has_ended.await;
    }

    async fn serve(mut self, mut stop: watch::Receiver<bool>) {
        if !self.settle().await {
            return;
        }
        let orders = self.common.orders.clone();
        self.watch();
        loop {
            self.show();
            let (integrity_at, keep_at) = (self.integrity_at.into(), self.keep_at.into());
            let all_kept = self.unkept.is_empty();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                Some(job) = self.jobs.recv() => self.job(job).await,
                () = sleep_until(keep_at), if !all_kept => self.keep_all(),
                order = orders.next(), if all_kept => {
                    if !self.order(order).await {
                        return;
                    }
                }
                () = sleep_until(integrity_at) => self.integrity().await,
                changed = integrity::changed(self.watcher.as_ref(), self.listen_from) => self.changed(changed),
            }
        }
    }

    /// Goes on with what an earlier life left, and tells how it ended. Whether to go on.
    async fn settle(&mut self) -> bool {
        let sink = self.sink(None);
        let left = self.engine.status().change.and_then(|change| change.command);
        self.common.orders.begin(left);
        match self.engine.resume(&sink).await {
            Ok(Some((_, Ended::Stopped))) => return false,
            Ok(Some((id, ended))) => {
                self.last = Some(ended.clone());
                if let Some(id) = id {
                    self.keep(id, ended);
                }
            }
            Ok(None) => {}
            // Orders are refused with the same words, so the control plane learns of it too.
            Err(error) => self.common.board.trouble("engine", Some(chain(&error))),
        }
        self.tell_settled();
        self.clear();
        true
    }

    fn tell_settled(&mut self) {
        for (id, ended) in self.engine.take_settled() {
            self.keep(id, ended);
        }
    }

    /// Whether to go on.
    async fn order(&mut self, order: Order) -> bool {
        let command = &order.command;
        info!(id = %command.id, kind = command.kind.as_str(), "an order is carried out");
        let sink = self.sink(Some(&order));
        self.engine.know_env(self.common.hub.heard().env);
        // Before it is shown: who sees it in hand may call it back.
        self.common.orders.begin(Some(command.id));
        sink.progress(Some(command.id), "begin", "begun", None);
        let waited = age(&order, self.common.clock.now());
        let ended = self.engine.perform(command, waited, &sink).await;
        self.tell_settled();
        if ended == Ended::Stopped {
            return false;
        }
        self.last = Some(ended.clone());
        self.keep(command.id, ended);
        self.clear();
        self.watch();
        self.integrity_at = Instant::now();
        true
    }

    /// Keeps a result for the outbox, then forgets the order. A full disk delays it: an answer is not lost.
    fn keep(&mut self, id: CommandId, ended: Ended) {
        let generation = self.common.orders.generation(id);
        let answer = match ended {
            Ended::Ack(outcome) => {
                info!(%id, explanation = outcome.explanation, "done");
                Answer::Ack(Ack {
                    result: value(&outcome),
                    generation,
                })
            }
            Ended::Fail {
                error,
                retryable,
                result,
            } => {
                info!(%id, retryable, "failed: {error}");
                Answer::Fail(Fail {
                    error,
                    retryable: Some(retryable),
                    result: Some(value(&result)),
                    generation,
                })
            }
            Ended::Stopped => return,
        };
        self.unkept.push_back((id, answer));
        self.keep_all();
    }

    /// Keeps the results that could not be kept before. Until it succeeds no further order is begun: their results are
    /// in the ledger, but a full disk would only fill up with more. Nobody waits for it: a person may go back meanwhile.
    fn keep_all(&mut self) {
        while let Some((id, answer)) = self.unkept.front() {
            if let Err(error) = self.keep_once(*id, answer) {
                self.common.board.trouble("outbox", Some(chain(&error)));
                self.keep_at = Instant::now() + AFTER_TROUBLE;
                return;
            }
            self.unkept.pop_front();
            self.common.answers.notify_one();
        }
        self.common.board.trouble("outbox", None);
    }

    fn keep_once(&self, id: CommandId, answer: &Answer) -> Result<(), StoreError> {
        self.common.kept.answer(id, answer)?;
        self.common.orders.ended(id)
    }

    async fn job(&mut self, job: Job) {
        match job {
            Job::Rollback {
                to,
                force,
                called_back,
                wish,
                reply,
            } => {
                // Who has gone away meanwhile is told nothing, so nothing is done.
                if !reply.is_closed() {
                    let _ = reply.send(self.go_back(to, force, called_back).await);
                }
                drop(wish);
            }
            Job::Verify(reply) => {
                self.integrity().await;
                let found = self.engine.verify();
                let _ = reply.send(match found {
                    Ok(found) => Reply::of(&found),
                    Err(failure) => Reply::failed(failure.words),
                });
            }
            Job::Doctor(reply) => {
                let _ = reply.send(Reply::of(&self.engine.doctor()));
            }
        }
    }

    /// To where the person who asked meant: a change that was in hand and went back by itself or at their word has
    /// brought them there; after one that stayed, or was none, the way back is still to be gone.
    async fn go_back(&mut self, to: Option<semver::Version>, force: bool, called_back: bool) -> Reply {
        let before = self.last.take();
        if let (true, Some(Ended::Ack(outcome) | Ended::Fail { result: outcome, .. })) =
            (called_back, before.filter(Ended::led_back))
        {
            return Reply::of(&outcome);
        }
        let sink = self.sink(None);
        let ended = self.engine.rollback_local(to, force, &sink).await;
        self.tell_settled();
        self.clear();
        self.watch();
        self.integrity_at = Instant::now();
        self.last = Some(ended.clone());
        as_reply(ended)
    }

    fn show(&self) {
        let status = self.engine.status();
        if status.change.is_none() {
            self.common.board.trouble("engine", None);
        }
        let installed = Installed {
            version: Some(status.installed.version.to_string()),
            report: Some(self.engine.installed_report()),
        };
        self.seen.installed.send_if_modified(|seen| {
            let changed = *seen != installed;
            if seen.version.is_some() && seen.version != installed.version {
                self.common.hub.installed(&status.installed.version.to_string());
            }
            *seen = installed;
            changed
        });
        self.seen.status.send_replace(value(&status));
    }

    fn clear(&self) {
        self.common.board.show(|shown| shown.in_hand = None);
    }

    fn sink(&self, order: Option<&Order>) -> Sink {
        Sink {
            board: self.common.board.clone(),
            teller: self.common.teller.clone(),
            orders: self.common.orders.clone(),
            kind: order.map(|order| order.command.kind.as_str()),
        }
    }
}

/// Shows and tells how far an order has come.
struct Sink {
    board: Arc<Board>,
    teller: Teller,
    orders: Arc<Orders>,
    kind: Option<&'static str>,
}

impl ProgressSink for Sink {
    fn progress(&self, command: Option<CommandId>, step: &str, detail: &str, done: Option<f64>) {
        self.board.show(|shown| {
            shown.in_hand = Some(InHand {
                id: command,
                kind: self.kind.map(ToOwned::to_owned),
                step: step.to_owned(),
                detail: detail.to_owned(),
                done,
            });
        });
        if let Some(id) = command {
            self.teller
                .executing(id, self.orders.generation(id), (step, detail), done);
        }
    }
}

/// How a change that a person asked for ended.
pub fn as_reply(ended: Ended) -> Reply {
    match ended {
        Ended::Ack(outcome) => Reply::of(&outcome),
        Ended::Fail { error, result, .. } => Reply {
            result: Some(value(&result)),
            error: Some(error),
        },
        Ended::Stopped => Reply::failed("the agent is stopping; it goes on at its next start"),
    }
}

/// Carries a job out without a running agent, for the command line.
pub async fn rollback_alone<T: Transport>(engine: &mut Engine<T>, to: Option<semver::Version>, force: bool) -> Reply {
    let ended: Ended = engine.rollback_local(to, force, &NoProgress).await;
    as_reply(ended)
}

fn value(what: &impl serde::Serialize) -> Value {
    serde_json::to_value(what).unwrap_or(Value::Null)
}
