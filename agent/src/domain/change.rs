//! One change of the plugin: what is to be done, how far it has come, how it ended.

use jiff::Timestamp;
use plugmend_shared::{
    bundle::path::RelPath,
    ids::{CommandId, Digest},
    protocol::command::HealthPolicy,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::installed::Tree;

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// To another release.
    Update,
    /// Back to an earlier one.
    Rollback,
    /// The same release once more, from verified content, over a tree that was tampered with.
    Reinstall,
    /// New settings for the same release.
    Config,
}

/// What is to be done, fixed when the order was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The order; absent when a person on the host asked.
    pub command: Option<CommandId>,
    /// What kind.
    pub kind: ChangeKind,
    /// What runs when it begins.
    pub from: Tree,
    /// Version to be reached.
    pub version: semver::Version,
    /// Its digest; absent only for release zero.
    pub digest: Option<Digest>,
    /// The tree that waits already (a rollback to one that was kept).
    pub waiting: Option<Tree>,
    /// Whether the snapshot hook must succeed before activation.
    pub needs_snapshot: bool,
    /// How it is watched.
    pub health: HealthPolicy,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The settings, for [`ChangeKind::Config`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<SettingsChange>,
}

/// Settings before and after, key by key: going back touches these keys only, whatever else was saved meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// The file, from the plugin's root.
    pub file: RelPath,
    /// What is to be set.
    pub after: Map<String, Value>,
    /// What was there; a key that was not there is null here.
    pub before: Map<String, Value>,
    /// Digest of the whole file as it was, which is kept beside the ledger; absent when there was none. A plugin that
    /// spoils its file during the trial gets it back from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Digest>,
}

/// Why a change did not begin, did not go on, or was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A code for machines: `disk_full`, `smoke_test_failed`.
    pub code: String,
    /// The same in words, with what to do.
    pub words: String,
    /// Whether trying again could help.
    pub retryable: bool,
    /// Whether the release itself did harm here, so that it is held back. A host's own trouble (a hook, a full disk) or
    /// a person's wish is no harm.
    #[serde(default)]
    pub harmful: bool,
}

impl Failure {
    /// A failure that a later try may not meet.
    pub fn passing(code: &str, words: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            words: words.into(),
            retryable: true,
            harmful: false,
        }
    }

    /// A failure that the same order will always meet.
    pub fn lasting(code: &str, words: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            words: words.into(),
            retryable: false,
            harmful: false,
        }
    }

    /// Harm that a release did while it was watched: it is taken back, and held back.
    pub fn harmful(code: &str, words: impl Into<String>) -> Self {
        Self {
            harmful: true,
            ..Self::lasting(code, words)
        }
    }
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The new release (or setting) stays. `healthy`: yes, no, or nobody could tell.
    Committed {
        /// The verdict of the trial.
        healthy: Option<bool>,
        /// In words.
        words: String,
    },
    /// It was there, and was taken back.
    Reverted(Failure),
    /// It never was there.
    Abandoned(Failure),
}
