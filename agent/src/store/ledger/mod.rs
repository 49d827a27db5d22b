//! What the swap's safety rests on: one small file that says what is installed, what is being changed and how far it
//! has come. Every write is durable before the caller goes on, and the one before is kept beside.

mod file;
mod format;

use jiff::Timestamp;
use plugmend_shared::{bundle::path::RelPath, generation::Generation, ids::CommandId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{
    change::Change,
    installed::{LayoutKind, Tree},
    machine::Stage,
    quarantine,
    undone::Undone,
};

pub use {file::LedgerError, file::LedgerFile, format::FormatError};

/// Results of orders that are kept, so that a repeated order gets its answer again.
pub const MAX_RESULTS: usize = 64;

/// The whole record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// How often it was written.
    pub writes: u64,
    /// The plugin's path that it is about.
    pub plugin: std::path::PathBuf,
    /// How releases change places there.
    pub layout: LayoutKind,
    /// What runs.
    pub installed: Tree,
    /// What ran before, kept so that one can go back.
    pub previous: Option<Tree>,
    /// The folder that was there before the agent came, kept for good.
    pub zero: Option<Tree>,
    /// Number of the next tree.
    pub next_tree: u64,
    /// Modification time given to the files of the last release, seconds since the epoch; the next one's is later.
    pub last_stamp: i64,
    /// Data of the plugin that lies in `shared/`, of every release so far.
    #[serde(default)]
    pub preserved: Vec<RelPath>,
    /// The change in progress.
    #[serde(default)]
    pub transaction: Option<Transaction>,
    /// The highest generation that was accepted.
    #[serde(default)]
    pub generation: Generation,
    /// Orders that have ended, oldest first.
    #[serde(default)]
    pub results: Vec<StoredResult>,
    /// Releases that hurt this host.
    #[serde(default)]
    pub quarantine: Vec<quarantine::Entry>,
    /// Changes that did not come to stay, since the last that did.
    #[serde(default)]
    pub undone: Option<Undone>,
    /// Settings that orders have set, with the values that they were set to last.
    #[serde(default)]
    pub managed: Map<String, Value>,
}

/// A change in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What is to be done.
    pub change: Change,
    /// What is being done.
    pub stage: Stage,
    /// Name of the tree that is being laid out.
    pub tree_name: String,
    /// Modification time for its files.
    pub stamp: i64,
    /// Data that its release is the first here to name; known only once the release was activated.
    #[serde(default)]
    pub new_data: Vec<RelPath>,
    /// Bytes fetched for it so far.
    #[serde(default)]
    pub bytes_fetched: u64,
    /// How long each stage took, in ms.
    #[serde(default)]
    pub timings_ms: std::collections::BTreeMap<String, u64>,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredResult {
    /// Which order.
    pub command: CommandId,
    /// When.
    pub at: Timestamp,
    /// `None`: it was carried out. Else the error, and whether trying again could help.
    pub error: Option<(String, bool)>,
    /// What was answered.
    pub outcome: Value,
}

impl Ledger {
    /// The answer that was given to `command`.
    pub fn result(&self, command: CommandId) -> Option<&StoredResult> {
        self.results.iter().find(|result| result.command == command)
    }

    /// Keeps an answer, in place of an older one to the same order.
    pub fn remember(&mut self, result: StoredResult) {
        self.results.retain(|old| old.command != result.command);
        self.results.push(result);
        if self.results.len() > MAX_RESULTS {
            self.results.remove(0);
        }
    }
}
