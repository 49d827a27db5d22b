//! Orders: judged at the gate, then begun.

use std::time::Duration;

use plugmend_shared::{
    ids::{CommandId, Digest},
    protocol::command::{Command, CommandKind, CommandPayload, Outcome, OutcomeStatus},
};

use super::{
    Ended, Engine, ProgressSink, answer, chain, plan::direction, recover::ledger_failure, watch::asked_to_go_back,
};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure, SettingsChange},
        gate::{self, Signed},
        installed::Tree,
        settings,
    },
    upstream::repo::Transport,
};

impl<T: Transport> Engine<T> {
    /// Carries an order out, however long that takes. `age` is the time since it was received, by a monotonic clock.
    ///
    /// The same order again gets the same answer again, unless the answer was a failure that may have passed.
    pub async fn perform(&mut self, command: &Command, age: Duration, sink: &dyn ProgressSink) -> Ended {
        let stored = self.ledger.result(command.id).and_then(Ended::from_stored);
        if let Some(ended) = stored.filter(Ended::is_final) {
            return ended;
        }
        if let Err(failure) = self.ready(sink).await {
            return self.refused(&failure);
        }
        let changes = matches!(command.kind, CommandKind::Update | CommandKind::ConfigUpdate);
        let mut allowed = gate::order(&self.host(), &command.payload, age);
        if changes && self.signals.wants_back() {
            allowed = allowed.and(Err(asked_to_go_back("before it was begun")));
        }
        let done = match allowed {
            Ok(()) => {
                self.ledger.generation = self.ledger.generation.max(command.payload.generation);
                self.payload = command.payload.clone();
                self.received_at = self.clock.now().checked_sub(age).ok();
                self.carry_out(command.kind, Some(command.id), sink).await
            }
            Err(failure) => Err(failure),
        };
        self.payload = CommandPayload::default();
        self.received_at = None;
        let ended = done.unwrap_or_else(|failure| {
            if changes {
                self.undo(None);
            }
            self.refused(&failure)
        });
        if ended != Ended::Stopped {
            self.close(command.id, &ended);
        }
        ended
    }

    /// What must be finished before anything new is begun.
    pub(super) async fn ready(&mut self, sink: &dyn ProgressSink) -> Result<(), Failure> {
        if self.unsaved {
            self.file.write(&mut self.ledger).map_err(|e| ledger_failure(&e))?;
            self.unsaved = false;
        }
        match self.resume(sink).await {
            Ok(None) => Ok(()),
            Ok(Some((_, Ended::Stopped))) => Err(Failure::passing("stopping", "the agent is stopping")),
            Ok(Some((command, ended))) => {
                self.settled.extend(command.map(|command| (command, ended)));
                Ok(())
            }
            Err(e) => Err(Failure::passing("stuck", chain(&e))),
        }
    }

    async fn carry_out(
        &mut self,
        kind: CommandKind,
        command: Option<CommandId>,
        sink: &dyn ProgressSink,
    ) -> Result<Ended, Failure> {
        match kind {
            CommandKind::Update => self.update(command, sink).await,
            CommandKind::Rollback => self.roll_back(command, false, sink).await,
            CommandKind::ConfigUpdate => self.configure(command, sink).await,
            CommandKind::HealthCheck => Ok(Ended::Ack(self.check_health())),
            CommandKind::Restart => self.restart(),
        }
    }

    async fn update(&mut self, command: Option<CommandId>, sink: &dyn ProgressSink) -> Result<Ended, Failure> {
        self.refresh(direction(ChangeKind::Update)).await?;
        self.fetched_before = 0;
        self.try_recognise().await;
        let installed = self.ledger.installed.clone();
        let (mut version, mut digest) = self.signed_release(self.kind_of_update())?;
        let kind = if installed.digest == Some(digest) {
            // A copy of what is wrong is kept before it is healed.
            if self.inspect()?.intact && !self.payload.reinstall {
                let words = format!("{version} is installed and intact");
                let mut outcome = answer::outcome(OutcomeStatus::Unchanged, &installed, words);
                outcome.bytes_fetched = self.fetched_before;
                return Ok(Ended::Ack(outcome));
            }
            ChangeKind::Reinstall
        } else {
            (version, digest) = self.signed_release(ChangeKind::Update)?;
            ChangeKind::Update
        };
        let change = self.change(command, kind, (version, Some(digest)), None);
        self.make(change, sink).await
    }

    /// What the order in hand seems to be: the release that runs is let in on other terms than another.
    fn kind_of_update(&self) -> ChangeKind {
        let (payload, installed) = (&self.payload, &self.ledger.installed);
        let same = match payload.release_digest {
            Some(digest) => installed.digest == Some(digest),
            None => installed.digest.is_some() && payload.version.as_ref() == Some(&installed.version),
        };
        if same {
            ChangeKind::Reinstall
        } else {
            ChangeKind::Update
        }
    }

    /// The signed release that the order means, once the gate has let it pass.
    pub(super) fn signed_release(&self, kind: ChangeKind) -> Result<(semver::Version, Digest), Failure> {
        let repo = |e| super::fetch::repo_failure(&e);
        let payload = &self.payload;
        let release = match (&payload.release_digest, &payload.version) {
            (Some(digest), _) => self.repository.release_by_digest(digest).map_err(repo)?,
            (None, Some(version)) => self.repository.release(version).map_err(repo)?,
            (None, None) => return Err(Failure::lasting("no_release", "the order names no release")),
        };
        let release =
            release.ok_or_else(|| Failure::lasting("not_signed", "no signed release is what the order names"))?;
        let info = self.repository.product_info().map_err(repo)?;
        let signed = Signed {
            version: &release.version,
            digest: &release.digest,
            revoked: release.revoked.as_ref().map(|revoked| revoked.reason.as_str()),
            minimum: info.minimum_version.as_ref(),
        };
        gate::release(&self.host(), payload, &signed, direction(kind))?;
        Ok((release.version.clone(), release.digest))
    }

    async fn configure(&mut self, command: Option<CommandId>, sink: &dyn ProgressSink) -> Result<Ended, Failure> {
        let wanted = self.payload.config.clone().unwrap_or_default();
        let manifest = self.installed_manifest()?;
        let spec = manifest.and_then(|manifest| manifest.settings).ok_or_else(|| {
            Failure::lasting(
                "no_settings",
                "the installed release has no signed list of settings that may be set",
            )
        })?;
        settings::check(&spec, &wanted, &self.ledger.managed)?;
        let now = self.read_settings(&spec.file)?;
        let change = SettingsChange {
            file: spec.file.clone(),
            before: settings::before(&now, &wanted),
            after: wanted,
            kept: self.keep_settings(&spec.file)?,
        };
        let installed = self.ledger.installed.clone();
        if change.before == change.after {
            settings::manage(&mut self.ledger.managed, &change.after);
            return Ok(Ended::Ack(answer::outcome(
                OutcomeStatus::Unchanged,
                &installed,
                "the settings are so already",
            )));
        }
        // A file within a preserved folder is preserved with it.
        if !self.ledger.preserved.iter().any(|path| spec.file.is_within(path)) {
            self.ledger.preserved.push(spec.file);
        }
        let mut whole = self.change(
            command,
            ChangeKind::Config,
            (installed.version.clone(), installed.digest),
            Some(installed),
        );
        whole.settings = Some(change);
        self.make(whole, sink).await
    }

    fn check_health(&self) -> Outcome {
        let installed = &self.ledger.installed;
        if self.options.probes.is_empty() {
            let words = "the host's configuration names no probes";
            return answer::outcome(OutcomeStatus::Unchanged, installed, words);
        }
        let (passed, words) = match self.probe_round(&installed.version, 0) {
            Ok(_) => (true, "every probe passed".to_owned()),
            Err((words, _)) => (false, words),
        };
        let mut outcome = answer::outcome(OutcomeStatus::Unchanged, installed, words);
        outcome.health_check_passed = Some(passed);
        outcome
    }

    fn restart(&self) -> Result<Ended, Failure> {
        if self.options.hooks.reload.is_none() {
            return Err(Failure::lasting(
                "no_reload_hook",
                "the host's configuration names no hooks.reload",
            ));
        }
        self.options
            .hooks
            .restart()
            .map_err(|e| Failure::passing("hook_failed", chain(&e)))?;
        let words = "the reload hook ran";
        Ok(Ended::Ack(answer::outcome(
            OutcomeStatus::Committed,
            &self.ledger.installed,
            words,
        )))
    }

    pub(super) fn change(
        &self,
        command: Option<CommandId>,
        kind: ChangeKind,
        (version, digest): (semver::Version, Option<Digest>),
        waiting: Option<Tree>,
    ) -> Change {
        Change {
            command,
            kind,
            from: self.ledger.installed.clone(),
            version,
            digest,
            waiting,
            needs_snapshot: false,
            health: self.payload.health.unwrap_or_default().clamped(),
            accepted_at: self.clock.now(),
            settings: None,
        }
    }

    pub(super) async fn make(&mut self, change: Change, sink: &dyn ProgressSink) -> Result<Ended, Failure> {
        let begun = self.begin(change, sink).await;
        begun.map_err(|e| Failure::passing("stuck", chain(&e)))
    }

    pub(super) fn refused(&self, failure: &Failure) -> Ended {
        let words = format!("not done, nothing was touched: {}", failure.words);
        Ended::fail(
            failure,
            answer::outcome(OutcomeStatus::Refused, &self.ledger.installed, words),
        )
    }

    /// Keeps the answer to an order that was no change of the plugin (a change's is kept with its end).
    fn close(&mut self, command: CommandId, ended: &Ended) {
        if self.ledger.result(command).and_then(Ended::from_stored).as_ref() == Some(ended) {
            return;
        }
        self.remember(command, ended);
        if let Err(e) = self.file.write(&mut self.ledger) {
            tracing::warn!(error = chain(&e), "the answer to an order could not be kept");
            self.unsaved = true;
        }
    }
}
