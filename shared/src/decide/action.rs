//! What can be decided, and how a decision is carried out.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What to do about an incident: the reference system's five answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Install a release.
    Patch,
    /// Change settings.
    ConfigFix,
    /// Go back to a release that ran before.
    Rollback,
    /// Ask people.
    NotifyOps,
    /// Leave it: it is not real, or passes by itself.
    NoAction,
}

/// How it is carried out: `plugin_autopatch_attempts.method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Another version.
    Patch,
    /// Other settings.
    ConfigFix,
    /// The same version once more, from verified content.
    Reinstall,
    /// The version before.
    Rollback,
    /// Another version, out of turn; only people choose it.
    Hotfix,
}

/// A word that names none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not one of {0}")]
pub struct UnknownWord(&'static str);

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Patch,
        Self::ConfigFix,
        Self::Rollback,
        Self::NotifyOps,
        Self::NoAction,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::ConfigFix => "config_fix",
            Self::Rollback => "rollback",
            Self::NotifyOps => "notify_ops",
            Self::NoAction => "no_action",
        }
    }

    /// How it is carried out, unless something more special is said; `None` when nothing is done to the plugin.
    pub fn method(self) -> Option<Method> {
        match self {
            Self::Patch => Some(Method::Patch),
            Self::ConfigFix => Some(Method::ConfigFix),
            Self::Rollback => Some(Method::Rollback),
            Self::NotifyOps | Self::NoAction => None,
        }
    }

    /// Whether `method` is a way to carry it out.
    pub fn allows(self, method: Method) -> bool {
        match self {
            Self::Patch => matches!(method, Method::Patch | Method::Reinstall | Method::Hotfix),
            Self::ConfigFix => method == Method::ConfigFix,
            Self::Rollback => method == Method::Rollback,
            Self::NotifyOps | Self::NoAction => false,
        }
    }
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Patch,
        Self::ConfigFix,
        Self::Reinstall,
        Self::Rollback,
        Self::Hotfix,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::ConfigFix => "config_fix",
            Self::Reinstall => "reinstall",
            Self::Rollback => "rollback",
            Self::Hotfix => "hotfix",
        }
    }
}

impl FromStr for Action {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let unknown = UnknownWord("patch, config_fix, rollback, notify_ops, no_action");
        Self::ALL.into_iter().find(|a| a.as_str() == word).ok_or(unknown)
    }
}

impl FromStr for Method {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let unknown = UnknownWord("patch, config_fix, reinstall, rollback, hotfix");
        Self::ALL.into_iter().find(|m| m.as_str() == word).ok_or(unknown)
    }
}
