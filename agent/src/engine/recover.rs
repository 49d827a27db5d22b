//! Settling: the ledger is compared with what lies on disk, and whatever was begun is finished or taken back.

use std::path::Path;

use plugmend_shared::ids::Digest;

use super::{Engine, chain, open::OpenError, swap_failure};
use crate::{
    domain::{
        change::{ChangeKind, Failure},
        gate::loose_version,
        installed::{Found, Tree},
        machine::{self, Event, Next},
    },
    platform::{beneath::Dir, durable},
    store::ledger::Transaction,
    upstream::repo::Transport,
};

/// The longest file that a version is read from, in bytes.
const MAX_VERSION_FILE: u64 = 1024 * 1024;

impl<T: Transport> Engine<T> {
    /// Settles what an earlier life left. What only a person can settle stays open: nothing is changed until then, but
    /// the plugin is reported on, and orders are refused with the reason.
    pub(super) fn settle(&mut self) -> Result<(), OpenError> {
        let Some(transaction) = self.ledger.transaction.clone() else {
            return self.look_for_strangers();
        };
        let settled = self.settle_change(&transaction);
        if let Err(stuck) = &settled {
            tracing::error!("{}", chain(stuck));
        }
        self.is_stuck = settled.is_err();
        Ok(())
    }

    fn settle_change(&mut self, transaction: &Transaction) -> Result<(), machine::Stuck> {
        let found = self.found(transaction);
        tracing::info!(
            stage = transaction.stage.name(),
            ?found,
            "settling an interrupted change"
        );
        match machine::next(&transaction.change, &transaction.stage, Event::Booted(found))? {
            Next::Stage(stage) => {
                // Goes on in `resume`; what runs until then is whole.
                if stage != transaction.stage {
                    if let Some(open) = &mut self.ledger.transaction {
                        open.stage = stage;
                    }
                    self.record_settled();
                }
            }
            Next::End(ending) => {
                let command = transaction.change.command;
                let ended = self.finish(ending);
                if let Some(command) = command {
                    self.settled.push((command, ended));
                }
            }
        }
        Ok(())
    }

    /// Which side of the change lies at the plugin's path. What can not be opened is neither.
    fn found(&self, transaction: &Transaction) -> Found {
        let change = &transaction.change;
        let Some(to) = transaction.stage.tree() else {
            return Found::Old;
        };
        if change.kind == ChangeKind::Config {
            return self.found_settings(change);
        }
        match self.layout().active() {
            Ok(active) => Found::by_inode(active.ino, &change.from, to),
            Err(error) => {
                tracing::warn!(error = chain(&error), "what lies at the plugin's path can not be told");
                Found::Neither
            }
        }
    }

    /// Without a change in progress the path must hold what the ledger says. When it does not, somebody restored a
    /// backup, moved the shop to another host, or another updater or an intruder was here: what lies there is left as it
    /// is. Where the ledger names a signed release, that goes on being what should run, and every file that differs is
    /// told, until an order heals or replaces it; the releases to go back to are kept.
    fn look_for_strangers(&mut self) -> Result<(), OpenError> {
        let active = self.layout().active()?;
        if active.ino == self.ledger.installed.ino {
            return Ok(());
        }
        let same = match self.installed_manifest() {
            Ok(Some(manifest)) => self.differences(&active.dir, &manifest).is_ok_and(|found| found.none()),
            _ => false,
        };
        let installed = &mut self.ledger.installed;
        if same {
            tracing::info!("the plugin's folder is a new copy of the same release");
        } else if installed.digest.is_some() {
            tracing::warn!(version = %installed.version, "somebody else replaced the plugin's folder; its files differ");
            installed.name = format!("r{}-{}", self.ledger.next_tree, installed.version);
            self.ledger.next_tree += 1;
        } else {
            let version = read_version(&active.dir).unwrap_or_else(|| installed.version.clone());
            tracing::warn!(%version, "somebody else replaced the plugin's folder; it is adopted as it is");
            *installed = Tree {
                name: format!("r{}-{version}", self.ledger.next_tree),
                ino: active.ino,
                version,
                digest: None,
            };
            self.ledger.next_tree += 1;
            self.ledger.undone = None;
        }
        self.ledger.installed.ino = active.ino;
        if let Some(tree) = active.tree {
            self.ledger.installed.name = tree;
        }
        self.know_copies();
        self.record_settled();
        Ok(())
    }

    /// Records what was settled. A full disk must not keep the agent from the change that filled it: from what is on
    /// disk the next start settles the same again.
    fn record_settled(&mut self) {
        if let Err(e) = self.file.write(&mut self.ledger) {
            tracing::error!(error = chain(&e), "what was settled could not be recorded yet");
            self.unsaved = true;
        }
    }

    /// A shop that was copied to another host has its kept trees under their names, with other inodes. They are compared
    /// with their signatures before they run again.
    fn know_copies(&mut self) {
        let found = |tree: &Tree| {
            let named = Tree { ino: 0, ..tree.clone() };
            let dir = self.layout().locate(&named).ok().flatten()?;
            dir.identity().ok().map(|stat| stat.st_ino)
        };
        let kept = [&self.ledger.previous, &self.ledger.zero];
        let inos = kept.map(|tree| tree.as_ref().filter(|tree| tree.digest.is_some()).and_then(found));
        let [previous, zero] = inos;
        for (tree, ino) in [(&mut self.ledger.previous, previous), (&mut self.ledger.zero, zero)] {
            if let (Some(tree), Some(ino)) = (tree, ino) {
                tree.ino = ino;
            }
        }
    }

    /// Goes on with a change that a restart found on trial or on the way back; `None` when there is none.
    ///
    /// # Errors
    /// Only a person can help; nothing was touched.
    pub async fn resume(
        &mut self,
        sink: &dyn super::ProgressSink,
    ) -> Result<Option<(Option<plugmend_shared::ids::CommandId>, super::Ended)>, machine::Stuck> {
        if self.is_stuck
            && let Some(transaction) = self.ledger.transaction.clone()
        {
            // A person may have put one of the two back.
            self.settle_change(&transaction)?;
            self.is_stuck = false;
        }
        let Some(transaction) = &self.ledger.transaction else {
            return Ok(None);
        };
        let command = transaction.change.command;
        let ended = self.run(sink).await?;
        Ok(Some((command, ended)))
    }

    /// The folder of a tree, wherever it lies now.
    pub(super) fn tree_dir(&self, tree: &Tree) -> Result<Dir, Failure> {
        let layout = self.layout();
        let active = layout.active().map_err(|e| swap_failure(&e))?;
        if active.ino == tree.ino {
            return Ok(active.dir);
        }
        let found = layout.locate(tree).map_err(|e| swap_failure(&e))?;
        found.ok_or_else(|| Failure::lasting("tree_gone", format!("the folder of {} is gone", tree.version)))
    }
}

/// The version that a folder says it has: npm's, Composer's, or `WordPress`' header.
pub(super) fn read_version(dir: &Dir) -> Option<semver::Version> {
    for name in ["package.json", "composer.json"] {
        let bytes = durable::read_bounded(dir, Path::new(name), MAX_VERSION_FILE)
            .ok()
            .flatten();
        let value: Option<serde_json::Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let version = value.as_ref().and_then(|value| value.get("version")?.as_str());
        if let Some(version) = version.and_then(parse_version) {
            return Some(version);
        }
    }
    for (name, _) in dir.entries().ok()? {
        let name = Path::new(&name);
        if name.extension().is_none_or(|ext| ext != "php") {
            continue;
        }
        let bytes = durable::read_bounded(dir, name, MAX_VERSION_FILE)
            .ok()
            .flatten()
            .unwrap_or_default();
        let head = String::from_utf8_lossy(bytes.get(..bytes.len().min(8192)).unwrap_or_default()).into_owned();
        if !head.contains("Plugin Name:") {
            continue;
        }
        let version = head
            .lines()
            .find_map(|line| line.split_once("Version:").map(|(_, v)| v.trim().to_owned()));
        return version.as_deref().and_then(parse_version);
    }
    None
}

fn parse_version(text: &str) -> Option<semver::Version> {
    text.parse().ok().or_else(|| loose_version(text))
}

/// Where a manifest is kept, in the agent's folder.
pub(super) fn manifest_path(digest: &Digest) -> std::path::PathBuf {
    Path::new("manifests").join(format!("{digest}.json"))
}

/// For messages: an error of the ledger as a failure.
pub(super) fn ledger_failure(error: &crate::store::ledger::LedgerError) -> Failure {
    if error.is_no_space() {
        return super::no_space(&chain(error));
    }
    Failure::passing("ledger", chain(error))
}
