//! `plugmend-release.toml`: what a person says about a release.

use std::path::Path;

use anyhow::Context as _;
use plugmend_shared::{
    bundle::{
        manifest::{Approvals, Compatibility, FORMAT, FileEntry, Impact, Manifest, SettingsSpec, SmokeTest, Undo},
        path::RelPath,
        remedy::DeclaredRemedy,
    },
    ids::Product,
};
use serde::Deserialize;

/// The file's name within the folder of a release, where it is looked for unless given; it is not part of the release.
pub const FILE: &str = "plugmend-release.toml";
const MAX_BYTES: u64 = 1024 * 1024;

/// What the file says. Everything but the files themselves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// The product.
    pub product: Product,
    /// The version; may be given on the command line instead.
    pub version: Option<semver::Version>,
    #[serde(default)]
    impact: Impact,
    /// Paths of the plugin's own data.
    #[serde(default)]
    pub preserve: Vec<RelPath>,
    #[serde(default)]
    compat: Compatibility,
    #[serde(default)]
    fixes: Vec<String>,
    #[serde(default)]
    undo: Undo,
    settings: Option<SettingsSpec>,
    #[serde(default)]
    remedies: Vec<DeclaredRemedy>,
    #[serde(default)]
    smoke_tests: Vec<SmokeTest>,
    #[serde(default)]
    approvals: Approvals,
    min_agent_version: Option<semver::Version>,
}

impl Descriptor {
    /// Reads the file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || format!("can not read the release descriptor {}", path.display());
        anyhow::ensure!(
            std::fs::metadata(path).with_context(at)?.len() <= MAX_BYTES,
            "{} is too large",
            path.display()
        );
        toml::from_str(&std::fs::read_to_string(path).with_context(at)?).with_context(at)
    }

    /// Every path that the release may not contain: its data, and its settings.
    pub fn preserved(&self) -> Vec<RelPath> {
        let settings = self.settings.iter().map(|s| s.file.clone());
        self.preserve.iter().cloned().chain(settings).collect()
    }

    /// The manifest of these files.
    pub fn manifest(self, version: Option<semver::Version>, files: Vec<FileEntry>) -> anyhow::Result<Manifest> {
        let version = version.or(self.version);
        let (mut preserve, mut cures) = (self.preserve, self.fixes);
        // People list these in any order, once or more; the canonical form has one.
        preserve.sort();
        preserve.dedup();
        cures.sort();
        cures.dedup();
        Ok(Manifest {
            format: FORMAT,
            product: self.product,
            version: version.context("no version: put one into the descriptor, or give --version")?,
            impact: self.impact,
            files,
            preserve,
            compat: self.compat,
            fixes: cures,
            undo: self.undo,
            settings: self.settings,
            remedies: self.remedies,
            smoke_tests: self.smoke_tests,
            approvals: self.approvals,
            min_agent_version: self.min_agent_version,
        })
    }
}
