//! What the gate is asked, with the facts of this host.

use plugmend_shared::{
    bundle::manifest::{Manifest, Undo},
    ids::Digest,
};

use super::{Engine, contents::Index, fs_failure};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure},
        gate::{self, Direction, Host},
        preserved, quarantine,
    },
    platform::capability,
    upstream::repo::{Freshness, Transport},
};

/// Room that is left free whatever is needed: logs and orders must go on.
const MARGIN: u64 = 16 * 1024 * 1024;
const BLOCK: u64 = 4096;

impl<T> Engine<T> {
    pub(super) fn host(&self) -> Host<'_> {
        Host {
            product: &self.options.product,
            merchant: self.options.merchant,
            installed: &self.ledger.installed,
            generation: self.ledger.generation,
            env: &self.options.env,
            agent: &self.options.agent_version,
            quarantine: &self.ledger.quarantine,
            surroundings: self.surroundings(),
            snapshot_hook: self.options.hooks.snapshot.is_some(),
        }
    }

    /// What the host is like, as far as a release's behaviour may hang on it. What a plugin says of itself beside what
    /// its manifest or the host's configuration names, and what it keeps beside the settings that can be set, changes
    /// all the while and means nothing.
    pub(super) fn surroundings(&self) -> Digest {
        let agent = self.options.agent_version.to_string();
        let manifest = self.installed_manifest().ok().flatten();
        let mut env = self.options.env.clone();
        if let Some(manifest) = &manifest {
            let (named, host) = (&manifest.compat.env, &self.options.host_env);
            env.retain(|name, _| named.contains_key(name) || host.contains_key(name));
        }
        let settings = manifest.and_then(|manifest| manifest.settings);
        quarantine::surroundings(&env, &agent, settings.and_then(|spec| self.settings_digest(&spec)))
    }
}

impl<T: Transport> Engine<T> {
    /// The second question, once the manifest is known. What it answers is kept with the change.
    pub(super) fn judge_manifest(
        &mut self,
        change: &Change,
        digest: &Digest,
        manifest: &Manifest,
    ) -> Result<(), Failure> {
        let direction = direction(change.kind);
        gate::manifest(&self.host(), manifest, direction)?;
        let info = self
            .repository
            .product_info()
            .map_err(|e| super::fetch::repo_failure(&e))?;
        let signatures = self.payload.approvals.as_slice();
        // What ran here, or runs, needs no new approval.
        if direction == Direction::Forward {
            gate::approvals(
                &self.host(),
                manifest,
                digest,
                (&info.approvers, signatures),
                self.clock.now(),
            )?;
        }
        let new_data = preserved::additions(&self.ledger.preserved, manifest)?;
        if let Some(open) = &mut self.ledger.transaction {
            open.change.needs_snapshot = direction == Direction::Forward && manifest.undo == Undo::NeedsSnapshot;
            open.new_data.extend(new_data.iter().cloned());
        }
        self.ledger.preserved.extend(new_data);
        Ok(())
    }

    /// Whether the laid-out release fits. `here` bytes of it have come in already.
    pub(super) fn check_room(&self, manifest: &Manifest, index: &Index, here: u64) -> Result<(), Failure> {
        let shared_blocks = self.capabilities.reflink;
        let needed: u64 = manifest
            .files
            .iter()
            .filter(|file| !(shared_blocks && index.has(&file.sha256)))
            .map(|file| file.size.div_ceil(BLOCK).saturating_mul(BLOCK))
            .fold(0, u64::saturating_add);
        let needed = needed.saturating_sub(here).saturating_add(MARGIN);
        let (free, inodes) = capability::free_space(&self.site.work).map_err(|e| fs_failure(&e))?;
        gate::room(needed, free, &self.site.work.path().display().to_string())?;
        // Folders too: at most as many again.
        if inodes < manifest.files.len() as u64 * 2 {
            return Err(Failure::passing(
                "disk_full",
                format!(
                    "{} files do not fit: the filesystem has {inodes} inodes left",
                    manifest.files.len()
                ),
            ));
        }
        Ok(())
    }

    /// The signed releases, fresh. Only a way back may fall back on what was trusted before.
    pub(super) async fn refresh(&mut self, direction: Direction) -> Result<Freshness, Failure> {
        let now = self.clock.now();
        match self.repository.refresh(now).await {
            Ok(()) => Ok(Freshness::Current),
            Err(e) if direction == Direction::Back => match self.repository.recall() {
                Ok(()) => Ok(Freshness::Recalled),
                Err(_) => Err(super::fetch::repo_failure(&e)),
            },
            Err(e) => Err(super::fetch::repo_failure(&e)),
        }
    }
}

pub(super) fn direction(kind: ChangeKind) -> Direction {
    match kind {
        ChangeKind::Rollback => Direction::Back,
        ChangeKind::Reinstall => Direction::Again,
        _ => Direction::Forward,
    }
}
