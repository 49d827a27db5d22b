//! Orders: judged at the gate, then begun.

use std::time::Duration;

use plugmend_shared::{
    ids::{CommandId, Digest},
    protocol::command::{Command, CommandKind, CommandPayload, HealthPolicy, Outcome, OutcomeStatus},
};

use super::{Ended, Engine, ProgressSink, answer, chain, plan::direction, recover::ledger_failure};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure, SettingsChange},
        gate::{self, Signed},
        installed::Tree,
        settings,
    },
    upstream::repo::{Freshness, Transport},
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
        if let Err(failure) = gate::order(&self.host(), &command.payload, age) {
            let ended = self.refused(&failure);
            self.close(command.id, &ended);
            return ended;
        }
        self.ledger.generation = self.ledger.generation.max(command.payload.generation);
        self.payload = command.payload.clone();
        let ended = match self.carry_out(command.kind, Some(command.id), sink).await {
            Ok(ended) => ended,
            Err(failure) => self.refused(&failure),
        };
        self.payload = CommandPayload::default();
        if ended != Ended::Stopped {
            self.close(command.id, &ended);
        }
        ended
    }

    /// Goes back, for a person on the host; to the release before when none is named. `force` goes back from a release
    /// that changed its data: the person has restored the snapshot.
    pub async fn rollback_local(&mut self, to: Option<semver::Version>, force: bool, sink: &dyn ProgressSink) -> Ended {
        if let Err(failure) = self.ready(sink).await {
            return self.refused(&failure);
        }
        // A person waits: one look, and no watch after it.
        self.payload = CommandPayload {
            version: to,
            health: Some(HealthPolicy {
                health_check_timeout_seconds: 0,
                extended_watch_seconds: 0,
                ..HealthPolicy::default()
            }),
            ..CommandPayload::default()
        };
        let ended = self.roll_back(None, force, sink).await;
        self.payload = CommandPayload::default();
        ended.unwrap_or_else(|failure| self.refused(&failure))
    }

    /// What must be finished before anything new is begun.
    async fn ready(&mut self, sink: &dyn ProgressSink) -> Result<(), Failure> {
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
        let (version, digest) = self.signed_release(ChangeKind::Update)?;
        let installed = self.ledger.installed.clone();
        let kind = if installed.digest == Some(digest) {
            if self.verify()?.intact {
                let words = format!("{version} is installed and intact");
                return Ok(Ended::Ack(answer::outcome(OutcomeStatus::Unchanged, &installed, words)));
            }
            ChangeKind::Reinstall
        } else {
            ChangeKind::Update
        };
        let change = self.change(command, kind, (version, Some(digest)), None);
        self.make(change, sink).await
    }

    async fn roll_back(
        &mut self,
        command: Option<CommandId>,
        force: bool,
        sink: &dyn ProgressSink,
    ) -> Result<Ended, Failure> {
        let kind = ChangeKind::Rollback;
        let installed = &self.ledger.installed;
        if self.payload.release_digest.is_none() && self.payload.version.as_ref() == Some(&installed.version) {
            let words = format!("{} is installed already", installed.version);
            return Ok(Ended::Ack(answer::outcome(OutcomeStatus::Unchanged, installed, words)));
        }
        let fresh = self.refresh(direction(kind)).await;
        let waiting = self.waiting_tree()?;
        let (version, digest) = match &waiting {
            // Release zero is nobody's release; the minimum version binds it all the same.
            Some(tree) if tree.digest.is_none() => {
                self.judge_zero(tree)?;
                (tree.version.clone(), None)
            }
            Some(tree) => {
                fresh?;
                let wanted = tree.digest.unwrap_or(Digest([0; 32]));
                self.payload.release_digest.get_or_insert(wanted);
                let (version, digest) = self.signed_release(kind)?;
                (version, Some(digest))
            }
            // Signatures of some time ago are enough to keep what ran here, not to fetch anything.
            None => {
                if fresh? != Freshness::Current {
                    let words = "a release that is not kept on this host needs current signatures; it is tried again";
                    return Err(Failure::passing("unreachable", words));
                }
                let (version, digest) = self.signed_release(kind)?;
                (version, Some(digest))
            }
        };
        if digest.is_some() && digest == self.ledger.installed.digest {
            let words = format!("{version} is installed already");
            return Ok(Ended::Ack(answer::outcome(
                OutcomeStatus::Unchanged,
                &self.ledger.installed,
                words,
            )));
        }
        // Going back asks for less than going forward, so it must not lead forward.
        if command.is_some() && version > self.ledger.installed.version {
            let words = format!(
                "{version} is newer than {}: send an update",
                self.ledger.installed.version
            );
            return Err(Failure::lasting("not_back", words));
        }
        if !force {
            self.judge_way_back()?;
        }
        let change = self.change(command, kind, (version, digest), waiting);
        self.make(change, sink).await
    }

    /// The kept tree that the order means: the one named, else the one before, else release zero.
    fn waiting_tree(&self) -> Result<Option<Tree>, Failure> {
        let ledger = &self.ledger;
        let kept = || {
            ledger
                .previous
                .iter()
                .chain(&ledger.zero)
                .filter(|tree| tree.name != ledger.installed.name)
        };
        let (version, digest) = (&self.payload.version, &self.payload.release_digest);
        let found = match (version, digest) {
            (None, None) => Some(kept().next().cloned().ok_or_else(|| {
                Failure::lasting("nothing_before", "there is no release before this one on this host")
            })?),
            (_, Some(digest)) => kept().find(|tree| tree.digest == Some(*digest)).cloned(),
            (Some(version), None) => kept().find(|tree| tree.version == *version).cloned(),
        };
        // A tree whose folder is gone is fetched anew.
        Ok(found.filter(|tree| self.tree_dir(tree).is_ok()))
    }

    fn judge_zero(&self, zero: &Tree) -> Result<(), Failure> {
        let info = self.repository.product_info().ok();
        let minimum = info.and_then(|info| info.minimum_version.as_ref());
        match minimum.filter(|minimum| zero.version < **minimum) {
            Some(minimum) => {
                let words = format!("{} is below the signed minimum version {minimum}", zero.version);
                Err(Failure::lasting("below_minimum", words))
            }
            None => Ok(()),
        }
    }

    fn judge_way_back(&self) -> Result<(), Failure> {
        match self.installed_manifest()? {
            Some(now) => gate::way_back(&now),
            None => Ok(()),
        }
    }

    /// The signed release that the order means, once the gate has let it pass.
    fn signed_release(&self, kind: ChangeKind) -> Result<(semver::Version, Digest), Failure> {
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
        settings::check(&spec, &wanted)?;
        let now = self.read_settings(&spec.file)?;
        let change = SettingsChange {
            file: spec.file.clone(),
            before: settings::before(&now, &wanted),
            after: wanted,
        };
        let installed = self.ledger.installed.clone();
        if change.before == change.after {
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

    fn change(
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

    async fn make(&mut self, change: Change, sink: &dyn ProgressSink) -> Result<Ended, Failure> {
        let begun = self.begin(change, sink).await;
        begun.map_err(|e| Failure::passing("stuck", chain(&e)))
    }

    fn refused(&self, failure: &Failure) -> Ended {
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
