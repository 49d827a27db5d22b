//! The swap and the way back. The plugin's data is taken into safety first, the tree is hashed once more, then one
//! system call decides, then the hooks make it seen.

use std::path::Path;

use plugmend_shared::bundle::path::RelPath;
use rustix::fs::FileType;

use super::{Engine, chain, fs_failure, materialise::preserved_in, swap::Leave, swap_failure};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure},
        installed::Tree,
        machine::Baseline,
    },
    platform::{durable, preserve::Swept, tree},
    upstream::repo::Transport,
};

/// Diagnostics of bad releases that are kept.
const KEPT_DIAGNOSTICS: usize = 5;

impl<T: Transport> Engine<T> {
    /// Activates `to`. Doing it again when it is active already runs the hooks again and harms nothing.
    pub(super) fn activate(&mut self, change: &Change, to: &Tree) -> Result<Baseline, Failure> {
        let before = self.baseline(change);
        let leave = if change.kind == ChangeKind::Rollback {
            Leave::Back
        } else {
            Leave::Forward
        };
        if change.kind == ChangeKind::Config {
            self.write_settings(change)?;
            let dropped = self.drop_code();
            self.weigh_hook(leave, dropped)?;
        } else {
            self.check_tree(to, leave)?;
            crash_point!("engine.activate.before_absorb");
            self.secure_data(&change.from, to)?;
            crash_point!("engine.activate.before_swap");
            let hooked = self.swap(&change.from, to, leave)?;
            crash_point!("engine.activate.swapped");
            self.sweep(&change.from);
            self.weigh_hook(leave, hooked)?;
        }
        let hooked = self.after_swap();
        self.weigh_hook(leave, hooked)?;
        // The last that an old process does before it ends is often to save.
        self.sweep(&change.from);
        crash_point!("engine.activate.hooked");
        Ok(before)
    }

    /// Goes back. Whatever fails on the way that is not the swap itself is told and does not hinder it.
    pub(super) fn revert(&mut self, change: &Change, to: &Tree, why: &Failure) -> Result<(), Failure> {
        crash_point!("engine.revert.begin");
        self.keep_diagnostics(change, to, why);
        // What merely did not work out is left with care.
        let leave = if why.retryable { Leave::Back } else { Leave::BackAtOnce };
        if change.kind == ChangeKind::Config {
            self.unwrite_settings(change)?;
            let dropped = self.drop_code();
            self.weigh_hook(leave, dropped)?;
        } else {
            if let Err(failure) = self.secure_data(to, &change.from) {
                self.note(failure.words);
            }
            crash_point!("engine.revert.before_swap");
            let hooked = self.swap(to, &change.from, leave)?;
            self.weigh_hook(leave, hooked)?;
            crash_point!("engine.revert.swapped");
            self.sweep(to);
        }
        let hooked = self.after_swap();
        self.weigh_hook(leave, hooked)?;
        self.sweep(to);
        if change.needs_snapshot {
            self.note(
                "the release changes data irreversibly: the snapshot from before it is there, and restoring it would \
                 lose what was written since; a person must decide"
                    .to_owned(),
            );
        }
        crash_point!("engine.revert.done");
        Ok(())
    }

    /// The tree, byte for byte, against its manifest. An adopted folder has none. On the way back only what was signed
    /// must be as it was: what a program left beside it (a log, a cache) ran there before, and is told.
    fn check_tree(&mut self, to: &Tree, leave: Leave) -> Result<(), Failure> {
        let Some(digest) = to.digest else { return Ok(()) };
        let Some((manifest, _)) = self.manifest(&digest)? else {
            return Err(Failure::passing("no_manifest", "the manifest is gone; fetch it again"));
        };
        let dir = self.tree_dir(to)?;
        let own = preserved_in(&self.ledger.preserved, &manifest);
        let found = tree::compare(&dir, &manifest.files, &own).map_err(|e| fs_failure(&e))?;
        if found.none() {
            return Ok(());
        }
        let some = found.paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        if leave == Leave::Back && found.counts.extra == found.count {
            self.note(format!(
                "{} files lie in the folder of {} that are not of the release ({some}); look at them, and order an \
                 update to the same release to be rid of them",
                found.count, to.version
            ));
            return Ok(());
        }
        let words = format!("{} files of {} are not as signed ({some})", found.count, to.version);
        Err(Failure::passing("tree_changed", words))
    }

    /// Takes the plugin's data from the running tree into safety and links it into the other one.
    fn secure_data(&mut self, running: &Tree, next: &Tree) -> Result<(), Failure> {
        let active = self.layout().active().map_err(|e| swap_failure(&e))?;
        let (running_dir, next_dir) = (active.dir, self.tree_dir(next)?);
        for rel in self.data_of(running)? {
            let done = self.site.absorb(&running_dir, &rel);
            if let Some(kept) = done.map_err(|e| Failure::passing("data_not_safe", chain(&e)))? {
                self.note(format!(
                    "{rel} was written at two places; the copy that {} does not see is kept at {}",
                    running.version,
                    kept.display()
                ));
            }
        }
        for rel in self.data_of(next)? {
            self.site.seed(&running_dir, &rel).map_err(|e| fs_failure(&e))?;
            let file = matches!(next_dir.kind(Path::new(rel.as_str())), Ok(Some(FileType::RegularFile)));
            if active.ino == next.ino || next.digest.is_none() && !file {
                // It runs already, or what is no file there may be an adopted plugin's code, which only it knows.
                self.site.attach(&next_dir, &rel).map_err(|e| fs_failure(&e))?;
            } else {
                // A file of a day ago must never win over what was written since.
                let swept = self.site.sweep(&next_dir, &running_dir, &rel);
                let swept = swept.map_err(|e| Failure::passing("data_not_safe", chain(&e)))?;
                self.tell_swept(&rel, next, swept);
            }
        }
        running_dir
            .sync()
            .and_then(|()| next_dir.sync())
            .map_err(|e| fs_failure(&e))
    }

    /// Paths that a tree leaves to the plugin.
    pub(super) fn data_of(&self, tree: &Tree) -> Result<Vec<RelPath>, Failure> {
        let manifest = tree.digest.map(|digest| self.manifest(&digest)).transpose()?.flatten();
        Ok(match manifest {
            Some((manifest, _)) => preserved_in(&self.ledger.preserved, &manifest),
            None => self.ledger.preserved.clone(),
        })
    }

    /// Looks once more at the tree that was left: a process of the old version may have written late.
    pub(super) fn sweep(&mut self, left: &Tree) {
        if let Err(failure) = self.try_sweep(left) {
            self.note(failure.words);
        }
    }

    fn try_sweep(&mut self, left: &Tree) -> Result<(), Failure> {
        let active = self.layout().active().map_err(|e| swap_failure(&e))?;
        if active.ino == left.ino {
            return Ok(());
        }
        let dir = self.tree_dir(left)?;
        for rel in self.data_of(left)? {
            match self.site.sweep(&dir, &active.dir, &rel) {
                Ok(swept) => self.tell_swept(&rel, left, swept),
                // The others are looked at all the same.
                Err(e) => self.note(format!(
                    "{rel} of {} could not be looked at: {}",
                    left.version,
                    chain(&e)
                )),
            }
        }
        Ok(())
    }

    fn tell_swept(&mut self, rel: &RelPath, left: &Tree, swept: Swept) {
        match swept {
            Swept::Clean => {}
            Swept::TakenIn(None) => self.note(format!("{rel} was written late by {} and taken over", left.version)),
            Swept::TakenIn(Some(replaced)) => self.note(format!(
                "{rel} was written late by {} and taken over; what it replaced is kept at {}",
                left.version,
                replaced.display()
            )),
            Swept::Kept(path) => self.note(format!(
                "{rel} was changed by both versions: {}'s copy is kept at {}",
                left.version,
                path.display()
            )),
        }
    }

    /// What is known of a bad release, before it is left. That it can not be kept hinders nothing.
    fn keep_diagnostics(&self, change: &Change, to: &Tree, why: &Failure) {
        let kept = serde_json::json!({
            "release": to, "change": change, "why": why, "at": self.clock.now(),
            "counts": {
                "requests": self.counters.counts().requests,
                "errors": self.counters.counts().errors,
            },
        });
        let text = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        let written = self.state.create_dirs(Path::new("diagnostics"), 0o700).and_then(|dir| {
            let names = dir.entries()?;
            for (old, _) in names.iter().take(names.len().saturating_sub(KEPT_DIAGNOSTICS - 1)) {
                dir.remove_file(Path::new(old))?;
            }
            let name = format!("{}-{}.json", self.clock.now().as_second(), to.name);
            durable::write_atomic(&dir, Path::new(&name), &text, 0o600)
        });
        if let Err(e) = written {
            tracing::warn!(error = chain(&e), "diagnostics could not be kept");
        }
    }
}
