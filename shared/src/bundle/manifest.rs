//! `manifest.json`: everything about a release but the contents of its files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    bounded,
    limits::{MAX_ARGS, MAX_CHOICES, MAX_FILES, MAX_PRESERVED, MAX_SETTINGS, MAX_SMALL_LIST},
    path::RelPath,
    remedy::DeclaredRemedy,
};
use crate::ids::{Digest, Product};

/// The format this code writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// One version of a product. Its canonical bytes are [`serde_json::to_vec`] of this type with `files` sorted by path:
/// the same build gives the same bytes, and their SHA-256 names the release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// What it is a version of.
    pub product: Product,
    /// Which version.
    pub version: semver::Version,
    /// How much a mistake in it could cost.
    #[serde(default)]
    pub impact: Impact,
    /// Every file, sorted by path.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_FILES>")]
    pub files: Vec<FileEntry>,
    /// The plugin's own writable data (uploads, cache, logs): carried from release to release, never touched.
    #[serde(
        default,
        deserialize_with = "bounded::list::<_, _, MAX_PRESERVED>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub preserve: Vec<RelPath>,
    /// What it runs on and what it can follow.
    #[serde(default, skip_serializing_if = "Compatibility::is_empty")]
    pub compat: Compatibility,
    /// Incident types that it claims to cure.
    #[serde(
        default,
        deserialize_with = "bounded::list::<_, _, MAX_SMALL_LIST>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub fixes: Vec<String>,
    /// Whether going back needs more than the code.
    #[serde(default, skip_serializing_if = "Undo::is_code_only")]
    pub undo: Undo,
    /// Settings that may be set from afar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<SettingsSpec>,
    /// Settings that are known to help against incidents while this release runs, the likeliest first. Agents from before
    /// this field refuse a manifest that has it, as they refuse every field that they do not know: such a release names a
    /// `min_agent_version` to say so in words.
    #[serde(
        default,
        deserialize_with = "bounded::list::<_, _, MAX_SMALL_LIST>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub remedies: Vec<DeclaredRemedy>,
    /// Commands that must succeed in the sandbox before activation.
    #[serde(
        default,
        deserialize_with = "bounded::list::<_, _, MAX_SMALL_LIST>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub smoke_tests: Vec<SmokeTest>,
    /// How many approvers must have signed before an agent activates it.
    #[serde(default, skip_serializing_if = "Approvals::is_none")]
    pub approvals: Approvals,
    /// The oldest agent that can install it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_agent_version: Option<semver::Version>,
}

/// How much a mistake could cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Texts, looks.
    Low,
    /// Behaviour, within what people know.
    #[default]
    Medium,
    /// Money, data, or anything that people must learn anew.
    High,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it lies, from the plugin's root.
    pub path: RelPath,
    /// Whether it may be executed; every other mode bit is the agent's to choose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exec: bool,
    /// Its length, in bytes.
    pub size: u64,
    /// Digest of its content.
    pub sha256: Digest,
}

/// What a release runs on and what it can follow. Absent means "any".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compatibility {
    /// Versions from which it can be installed; a downgrade below needs a release between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<semver::VersionReq>,
    /// Ranges by name as in the heartbeat's `env`: `php`, `wordpress`, `node`, ...
    #[serde(
        default,
        deserialize_with = "bounded::map::<_, _, MAX_SMALL_LIST>",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub env: BTreeMap<String, semver::VersionReq>,
}

impl Compatibility {
    fn is_empty(&self) -> bool {
        self.from.is_none() && self.env.is_empty()
    }
}

/// Whether a release can be undone by bringing the old files back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// The old code works with the data as the new code leaves it.
    #[default]
    CodeOnly,
    /// It changes data so that the old code breaks: activated only after the host's snapshot hook succeeded.
    NeedsSnapshot,
}

impl Undo {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
    fn is_code_only(&self) -> bool {
        *self == Self::CodeOnly
    }
}

/// The settings file and what of it may be set from afar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsSpec {
    /// Where the plugin reads its settings, from its root; preserved like any of its data. Data formats only.
    pub file: RelPath,
    /// The format of that file.
    #[serde(default)]
    pub format: SettingsFormat,
    /// The keys, by name. A key that is not here is the host's alone.
    #[serde(deserialize_with = "bounded::map::<_, _, MAX_SETTINGS>")]
    pub keys: BTreeMap<String, SettingKey>,
}

/// Formats that can not carry code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsFormat {
    /// One JSON object.
    #[default]
    Json,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingKey {
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: SettingKind,
    /// Smallest value, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The only values, for texts.
    #[serde(
        default,
        rename = "enum",
        deserialize_with = "bounded::list::<_, _, MAX_CHOICES>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub choices: Vec<String>,
    /// Whether it is a secret or an endpoint of money: then it is the host's alone, whatever the control plane says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_only: bool,
}

/// Types of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// true or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A finite number.
    Number,
    /// A text of at most 4,096 bytes.
    Text,
}

/// One command that must succeed in the sandbox, with the staged release as its working folder and no network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmokeTest {
    /// What it shows, for people.
    pub name: String,
    /// Program and arguments: no shell.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_ARGS>")]
    pub argv: Vec<String>,
    /// The longest it may take, in ms.
    #[serde(default = "default_smoke_ms")]
    pub timeout_ms: u64,
    /// The exit code that means success.
    #[serde(default)]
    pub exit: i32,
    /// Text that its output must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_contains: Option<String>,
}

fn default_smoke_ms() -> u64 {
    30_000
}

/// How many people must have signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// Distinct approvers whose valid signatures must travel with the order; 0 for none.
    #[serde(default)]
    pub required: u32,
}

impl Approvals {
    fn is_none(&self) -> bool {
        self.required == 0
    }
}
