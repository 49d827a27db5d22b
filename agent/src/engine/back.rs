//! The way back: to the release named, to the one before, or to release zero.

use plugmend_shared::{
    ids::{CommandId, Digest},
    protocol::command::{CommandPayload, HealthPolicy, OutcomeStatus},
};

use super::{Ended, Engine, ProgressSink, answer, plan::direction};
use crate::{
    domain::{
        change::{ChangeKind, Failure},
        gate,
        installed::Tree,
        undone::{self, Unnamed},
    },
    upstream::repo::{Freshness, Transport},
};

impl<T: Transport> Engine<T> {
    /// Goes back, for a person on the host; to the release before when none is named. `force` goes back from a release
    /// that changed its data: the person has restored the snapshot.
    pub async fn rollback_local(&mut self, to: Option<semver::Version>, force: bool, sink: &dyn ProgressSink) -> Ended {
        self.signals.forget_back();
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

    /// Carries out the order to go back that is in hand.
    pub(super) async fn roll_back(
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
        if self.payload.release_digest.is_none() && self.payload.version.is_none() {
            let undone = self.ledger.undone.as_ref();
            if undone::unnamed(undone, self.received_at, self.clock.now())? == Unnamed::AlreadyBack {
                let words = format!("{} runs: the change before this order did not stay", installed.version);
                return Ok(Ended::Ack(answer::outcome(OutcomeStatus::Unchanged, installed, words)));
            }
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
}
