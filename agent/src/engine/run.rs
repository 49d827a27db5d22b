//! One change from its first stage to its end.

use std::time::Instant;

use plugmend_shared::protocol::command::OutcomeStatus;

use super::{Ended, Engine, ProgressSink, answer, millis, recover::ledger_failure, watch::asked_to_go_back};
use crate::{
    domain::{
        change::{Change, ChangeKind, Ending, Failure},
        machine::{self, Event, Next, Stage, Stuck, Verdict},
        quarantine, settings, trial,
        undone::Undone,
    },
    store::ledger::{StoredResult, Transaction},
    upstream::repo::Transport,
};

/// What a stage's work came to.
pub(super) enum Step {
    Event(Event),
    /// The agent is stopping.
    Stopped,
}

impl<T: Transport> Engine<T> {
    /// Begins a change: it is in the ledger before anything is done for it.
    pub(super) async fn begin(&mut self, change: Change, sink: &dyn ProgressSink) -> Result<Ended, Stuck> {
        let stamp = self.clock.now().as_second().max(self.ledger.last_stamp + 1);
        let tree_name = format!("r{}-{}", self.ledger.next_tree, change.version);
        let before = self.ledger.clone();
        self.ledger.next_tree += 1;
        self.ledger.last_stamp = stamp;
        self.ledger.transaction = Some(Transaction {
            change,
            stage: Stage::Fetch,
            tree_name,
            stamp,
            new_data: Vec::new(),
            bytes_fetched: std::mem::take(&mut self.fetched_before),
            timings_ms: std::collections::BTreeMap::new(),
        });
        self.notes.clear();
        if let Err(e) = self.file.write(&mut self.ledger) {
            self.ledger = before;
            let refused = answer::outcome(OutcomeStatus::Refused, &self.ledger.installed, "nothing was touched");
            return Ok(Ended::fail(&ledger_failure(&e), refused));
        }
        self.run(sink).await
    }

    /// Goes through the stages until the end.
    pub(super) async fn run(&mut self, sink: &dyn ProgressSink) -> Result<Ended, Stuck> {
        loop {
            let Some(open) = self.ledger.transaction.clone() else {
                return Ok(Ended::Stopped);
            };
            let (change, stage) = (&open.change, &open.stage);
            sink.progress(change.command, stage.name(), &describe(change, stage), None);
            let began = Instant::now();
            let step = self.step(change, stage, sink).await;
            if let Some(open) = &mut self.ledger.transaction {
                let spent = open.timings_ms.entry(stage.name().to_owned()).or_default();
                *spent = spent.saturating_add(millis(began.elapsed()));
            }
            let event = match step {
                Step::Event(event) => event,
                Step::Stopped => return Ok(Ended::Stopped),
            };
            let mut next = machine::next(change, stage, event)?;
            if let Next::Stage(Stage::Activate { .. }) = &next
                && let Err(failure) = self.last_word(change, sink).await
            {
                next = Next::End(Ending::Abandoned(failure));
            }
            if let Next::Stage(stage) = &next
                && let Err(failure) = self.enter(stage)
            {
                next = unrecorded(change.kind, stage, failure);
            }
            match next {
                Next::Stage(stage) => {
                    if let Some(open) = &mut self.ledger.transaction {
                        open.stage = stage;
                    }
                }
                Next::End(ending) => {
                    let ended = self.finish(ending);
                    self.tidy();
                    return Ok(ended);
                }
            }
        }
    }

    /// One stage's work. A change that is asked to go back while it is being prepared is left there.
    async fn step(&mut self, change: &Change, stage: &Stage, sink: &dyn ProgressSink) -> Step {
        if let Some(failure) = self.left(change, stage) {
            return Step::Event(Event::Failed(failure));
        }
        match (self.work(change, stage, sink).await, self.left(change, stage)) {
            (Step::Event(_), Some(failure)) => Step::Event(Event::Failed(failure)),
            (step, _) => step,
        }
    }

    pub(super) fn left(&self, change: &Change, stage: &Stage) -> Option<Failure> {
        let called = change.kind != ChangeKind::Rollback && stage.is_preparing() && self.signals.wants_back();
        called.then(|| asked_to_go_back("before it was activated"))
    }

    async fn work(&mut self, change: &Change, stage: &Stage, sink: &dyn ProgressSink) -> Step {
        let done = |result: Result<(), Failure>| match result {
            Ok(()) => Event::Done,
            Err(failure) => Event::Failed(failure),
        };
        Step::Event(match stage {
            Stage::Fetch => done(self.fetch(change, sink).await),
            Stage::Verify => done(self.verify_fetched(change)),
            Stage::Materialise => match self.materialise(change) {
                Ok(tree) => Event::LaidOut(tree),
                Err(failure) => Event::Failed(failure),
            },
            Stage::Preflight { to } => done(self.preflight(change, to)),
            Stage::Snapshot { .. } => done(self.snapshot()),
            Stage::Activate { to } => match self.activate(change, to) {
                Ok(before) => Event::Activated(before),
                Err(failure) => Event::Failed(failure),
            },
            Stage::Trial { to, before } => match self.watch(change, to, *before, sink).await {
                Some(verdict) => {
                    // A process that took its time to end may have saved since the swap.
                    self.sweep(&change.from);
                    Event::Verdict(verdict)
                }
                None => return Step::Stopped,
            },
            Stage::Revert { to, why } => done(self.revert(change, to, why)),
        })
    }

    /// Records the next stage. On an error the disk still says the stage before, or already the next.
    fn enter(&mut self, stage: &Stage) -> Result<(), Failure> {
        let Some(open) = &mut self.ledger.transaction else {
            return Ok(());
        };
        let was = std::mem::replace(&mut open.stage, stage.clone());
        match self.file.write(&mut self.ledger) {
            Ok(()) => Ok(()),
            Err(e) => {
                if let Some(open) = &mut self.ledger.transaction {
                    open.stage = was;
                }
                Err(ledger_failure(&e))
            }
        }
    }

    /// Records the end, and gives the answer.
    pub(super) fn finish(&mut self, ending: Ending) -> Ended {
        let Some(open) = self.ledger.transaction.take() else {
            return Ended::Stopped;
        };
        let change = &open.change;
        self.coming = None;
        match &ending {
            Ending::Committed { .. } => self.commit(&open),
            Ending::Reverted(_) if change.kind == ChangeKind::Update => self.undo(Some(change.version.clone())),
            Ending::Reverted(_) | Ending::Abandoned(_) => self.undo(None),
        }
        if open.stage.is_preparing() {
            // A release that never ran has made nothing the plugin's own.
            self.ledger.preserved.retain(|path| !open.new_data.contains(path));
        }
        let mut outcome = answer::outcome(OutcomeStatus::Refused, &self.ledger.installed, String::new());
        outcome.from_version = Some(change.from.version.clone());
        outcome.bytes_fetched = open.bytes_fetched;
        outcome.timings_ms = open.timings_ms.clone();
        self.rates(&open, &mut outcome);
        let ended = match ending {
            Ending::Committed { healthy, words } => {
                outcome.status = OutcomeStatus::Committed;
                outcome.health_check_passed = healthy;
                outcome.settings_before = change.settings.as_ref().map(|change| change.before.clone());
                outcome.explanation = self.with_notes(words);
                Ended::Ack(outcome)
            }
            Ending::Reverted(why) => {
                self.hold_back(change, &why);
                outcome.status = OutcomeStatus::Reverted;
                outcome.health_check_passed = Some(false);
                outcome.explanation = self.with_notes(format!("{} runs again: {}", change.from.version, why.words));
                Ended::fail(&why, outcome)
            }
            Ending::Abandoned(why) => {
                // What has come in is there for the next try.
                self.coming = change.digest.filter(|_| why.retryable);
                outcome.explanation = self.with_notes(why.words.clone());
                Ended::fail(&why, outcome)
            }
        };
        if let Some(command) = change.command {
            self.remember(command, &ended);
        }
        if let Err(e) = self.file.write(&mut self.ledger) {
            // The disk still has the stage before, from which a restart comes to the same end.
            tracing::error!(
                error = super::chain(&e),
                "the end of a change could not be recorded yet"
            );
            self.unsaved = true;
        }
        crash_point!("engine.finish.recorded");
        ended
    }

    fn commit(&mut self, open: &Transaction) {
        let Some(to) = open.stage.tree() else { return };
        match open.change.kind {
            ChangeKind::Config => {
                if let Some(change) = &open.change.settings {
                    settings::manage(&mut self.ledger.managed, &change.after);
                }
            }
            // A tree that was tampered with is nothing to go back to.
            ChangeKind::Reinstall => self.ledger.installed = to.clone(),
            ChangeKind::Update | ChangeKind::Rollback => {
                self.ledger.undone = None;
                self.ledger.previous = Some(std::mem::replace(&mut self.ledger.installed, to.clone()));
            }
        }
    }

    /// Remembers that a change did not come to stay; `reverted` is its release, when that ran.
    pub(super) fn undo(&mut self, reverted: Option<semver::Version>) {
        let undone = Undone::and(self.ledger.undone.as_ref(), self.clock.now(), reverted);
        self.ledger.undone = Some(undone);
    }

    /// A release that did harm here is not tried again; one that failed for want of room, say, may be.
    fn hold_back(&mut self, change: &Change, why: &Failure) {
        let (true, Some(digest), ChangeKind::Update) = (why.harmful, change.digest, change.kind) else {
            return;
        };
        let entry = quarantine::Entry {
            digest,
            version: change.version.clone(),
            reason: why.words.clone(),
            at: self.clock.now(),
            surroundings: self.surroundings(),
        };
        quarantine::add(&mut self.ledger.quarantine, entry);
    }

    pub(super) fn remember(&mut self, command: plugmend_shared::ids::CommandId, ended: &Ended) {
        let (outcome, error) = match ended {
            Ended::Ack(outcome) => (outcome, None),
            Ended::Fail {
                error,
                retryable,
                result,
            } => (result, Some((error.clone(), *retryable))),
            Ended::Stopped => return,
        };
        self.ledger.remember(StoredResult {
            command,
            at: self.clock.now(),
            error,
            outcome: serde_json::to_value(outcome).unwrap_or_default(),
        });
    }

    fn with_notes(&self, words: String) -> String {
        let mut all = words;
        for note in &self.notes {
            all.push_str("; ");
            all.push_str(note);
        }
        all
    }

    fn rates(&self, open: &Transaction, outcome: &mut plugmend_shared::protocol::command::Outcome) {
        let Stage::Trial { before, .. } = &open.stage else {
            return;
        };
        outcome.error_rate_before = (before.requests > 0).then(|| trial::rate((before.errors, before.requests)));
        let now = self.counters.counts();
        outcome.error_rate_after = (now.requests > 0).then(|| trial::rate((now.errors, now.requests)));
    }
}

/// What follows when a stage can not be recorded (a full disk, say).
fn unrecorded(kind: ChangeKind, stage: &Stage, failure: Failure) -> Next {
    match stage {
        // The way back is gone already; a restart finds it so.
        Stage::Trial { .. } if kind == ChangeKind::Rollback => Next::Stage(stage.clone()),
        // Nothing was touched yet.
        Stage::Fetch
        | Stage::Verify
        | Stage::Materialise
        | Stage::Preflight { .. }
        | Stage::Snapshot { .. }
        | Stage::Activate { .. } => Next::End(Ending::Abandoned(failure)),
        // The disk says Activate, and a restart settles by what it finds: so the way back is safe without a record.
        Stage::Trial { to, .. } => Next::Stage(Stage::Revert {
            to: to.clone(),
            why: failure,
        }),
        Stage::Revert { .. } => Next::Stage(stage.clone()),
    }
}

fn describe(change: &Change, stage: &Stage) -> String {
    let (from, to) = (&change.from.version, &change.version);
    match stage {
        Stage::Fetch => format!("getting what {to} has and {from} has not"),
        Stage::Verify => format!("checking {to} against its signatures"),
        Stage::Materialise => format!("laying {to} out beside {from}"),
        Stage::Preflight { .. } => format!("running the smoke tests of {to}"),
        Stage::Snapshot { .. } => "taking a snapshot of the data".to_owned(),
        Stage::Activate { .. } => format!("activating {to}"),
        Stage::Trial { .. } => format!("watching {to}"),
        Stage::Revert { why, .. } => format!("going back to {from}: {}", why.words),
    }
}

/// Names the verdict for logs.
pub(super) fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy(_) => "unhealthy",
        Verdict::Inconclusive(_) => "inconclusive",
    }
}
