//! Pruning: what is kept is what runs, what ran before, release zero, and what a change in progress needs.

use std::{collections::BTreeSet, path::Path};

use super::{Engine, contents::incoming_name, fs_failure, swap_failure};
use crate::domain::{change::Failure, installed::Tree};

impl<T> Engine<T> {
    /// The trees that something refers to.
    fn wanted(&self) -> Vec<&Tree> {
        let ledger = &self.ledger;
        let mut wanted: Vec<&Tree> = vec![&ledger.installed];
        wanted.extend(&ledger.previous);
        wanted.extend(&ledger.zero);
        if let Some(open) = &ledger.transaction {
            wanted.push(&open.change.from);
            wanted.extend(&open.change.waiting);
            wanted.extend(open.stage.tree());
        }
        wanted
    }

    pub(super) fn prune(&mut self) -> Result<(), Failure> {
        let wanted: BTreeSet<String> = self.wanted().iter().map(|tree| tree.name.clone()).collect();
        let names = self.layout().trees().map_err(|e| swap_failure(&e))?;
        for name in names.into_iter().filter(|name| !wanted.contains(name)) {
            crash_point!("engine.prune.tree");
            self.rescue(&name)?;
            self.layout().discard(&name).map_err(|e| swap_failure(&e))?;
        }
        self.prune_incoming()?;
        self.prune_manifests()
    }

    /// A tree is never deleted with data of the plugin in it: what lies where a link should be is kept.
    fn rescue(&self, name: &str) -> Result<(), Failure> {
        let tree = Tree {
            name: name.to_owned(),
            ino: 0,
            version: self.ledger.installed.version.clone(),
            digest: None,
        };
        let Some(dir) = self.layout().locate(&tree).map_err(|e| swap_failure(&e))? else {
            return Ok(());
        };
        for rel in self.ledger.preserved.clone() {
            self.site.rescue(&dir, &rel).map_err(|e| fs_failure(&e))?;
        }
        Ok(())
    }

    fn prune_incoming(&self) -> Result<(), Failure> {
        let keep = self.coming.map(|digest| incoming_name(&digest));
        for (name, _) in self.site.work.entries().map_err(|e| fs_failure(&e))? {
            let Some(text) = name.to_str() else { continue };
            if text.starts_with("incoming-") && Some(text) != keep.as_deref() {
                self.site
                    .throw_away(&self.site.work, Path::new(&name))
                    .map_err(|e| fs_failure(&e))?;
            }
        }
        Ok(())
    }

    fn prune_manifests(&self) -> Result<(), Failure> {
        let mut keep: BTreeSet<String> = self
            .wanted()
            .iter()
            .filter_map(|tree| tree.digest)
            .map(|digest| format!("{digest}.json"))
            .collect();
        keep.extend(self.coming.map(|digest| format!("{digest}.json")));
        let dir = self
            .state
            .open_dir(Path::new("manifests"))
            .map_err(|e| fs_failure(&e))?;
        for (name, _) in dir.entries().map_err(|e| fs_failure(&e))? {
            if name.to_str().is_none_or(|name| !keep.contains(name)) {
                dir.remove_file(Path::new(&name)).map_err(|e| fs_failure(&e))?;
            }
        }
        Ok(())
    }
}
