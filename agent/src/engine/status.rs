//! What the engine can tell a person, or a heartbeat, of itself.

use jiff::Timestamp;
use plugmend_shared::{generation::Generation, ids::CommandId, protocol::heartbeat::InstalledReport};
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::{
    domain::{
        installed::{LayoutKind, Tree},
        quarantine,
    },
    platform::capability::{self, Capabilities},
};

/// The engine's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The plugin's path.
    pub plugin: std::path::PathBuf,
    /// How releases change places.
    pub layout: LayoutKind,
    /// What runs.
    pub installed: Tree,
    /// What ran before.
    pub previous: Option<Tree>,
    /// What was there before the agent came.
    pub zero: Option<Tree>,
    /// The change in progress.
    pub change: Option<ChangeStatus>,
    /// The highest generation that was accepted.
    pub generation: Generation,
    /// Releases that are held back here.
    pub quarantine: Vec<quarantine::Entry>,
    /// The last orders: which, when, and the error if there was one.
    pub recent: Vec<(CommandId, Timestamp, Option<String>)>,
    /// Bytes free where the plugin lies.
    pub disk_free_bytes: u64,
    /// What the filesystem can do.
    pub capabilities: Capabilities,
}

/// A change in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStatus {
    /// The order; absent when a person on the host asked.
    pub command: Option<CommandId>,
    /// From which version.
    pub from: semver::Version,
    /// To which.
    pub to: semver::Version,
    /// How far it has come.
    pub stage: String,
    /// Since when.
    pub since: Timestamp,
}

impl<T> Engine<T> {
    /// The state, now.
    pub fn status(&self) -> Status {
        let ledger = &self.ledger;
        Status {
            plugin: ledger.plugin.clone(),
            layout: ledger.layout,
            installed: ledger.installed.clone(),
            previous: ledger.previous.clone(),
            zero: ledger.zero.clone(),
            change: ledger.transaction.as_ref().map(|open| ChangeStatus {
                command: open.change.command,
                from: open.change.from.version.clone(),
                to: open.change.version.clone(),
                stage: open.stage.name().to_owned(),
                since: open.change.accepted_at,
            }),
            generation: ledger.generation,
            quarantine: ledger.quarantine.clone(),
            recent: ledger
                .results
                .iter()
                .map(|r| (r.command, r.at, r.error.as_ref().map(|(words, _)| words.clone())))
                .collect(),
            disk_free_bytes: capability::free_space(&self.site.work).map_or(0, |(bytes, _)| bytes),
            capabilities: self.capabilities.clone(),
        }
    }

    /// The form that a heartbeat carries.
    pub fn installed_report(&self) -> InstalledReport {
        InstalledReport {
            digest: self.ledger.installed.digest,
            layout: self.ledger.layout.as_str().to_owned(),
        }
    }

    /// Lets a release that was taken back here be tried again: a person has looked. Whether there was one.
    ///
    /// # Errors
    /// The ledger can not be written.
    pub fn lift_quarantine(&mut self, version: &semver::Version) -> Result<bool, crate::store::ledger::LedgerError> {
        let before = self.ledger.quarantine.len();
        self.ledger.quarantine.retain(|entry| entry.version != *version);
        let lifted = self.ledger.quarantine.len() < before;
        if lifted {
            self.file.write(&mut self.ledger)?;
        }
        Ok(lifted)
    }
}
