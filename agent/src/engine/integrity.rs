//! The installed files against the signed manifest, and the managed settings against what orders have set.

use jiff::Timestamp;
use plugmend_shared::{
    bundle::manifest::Manifest,
    protocol::heartbeat::{FoundCounts, FoundFile, IntegrityReport, MAX_FOUND, SettingsReport},
};
use serde::{Deserialize, Serialize};

use super::{Engine, fs_failure, materialise::preserved_in};
use crate::{
    domain::{change::Failure, settings},
    platform::{
        beneath::Dir,
        layout::{Site, SwapError},
        tree::{self, Differences},
        watcher::{WatchError, Watcher},
    },
};

/// Paths are told up to this length, in bytes: an intruder chooses them, and they may not cost the plugin its heartbeat.
const MAX_PATH: usize = 300;
/// Settings that are named as drifted.
const MAX_KEYS: usize = 64;
/// The longest name of a setting that is told, in bytes.
const MAX_KEY: usize = 256;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// When it was looked at.
    pub checked_at: Timestamp,
    /// Whether there is a signed manifest to compare with; an adopted folder has none.
    pub signed: bool,
    /// Whether every file is as signed and none is too many; true where there is nothing to compare with.
    pub intact: bool,
    /// Paths that differ, at most 100.
    pub differing: Vec<String>,
    /// How many differ in all.
    pub count: usize,
    /// What is wrong with the first of them.
    #[serde(default)]
    pub found: Vec<FoundFile>,
    /// How many of each kind.
    #[serde(default)]
    pub counts: FoundCounts,
    /// Where a copy of what was found is kept, in the agent's folder.
    #[serde(default)]
    pub evidence: Option<String>,
}

impl Integrity {
    /// The form that a heartbeat carries; `None` where there is nothing to compare with. `watched`: changes are seen as
    /// they happen.
    pub fn report(&self, watched: bool) -> Option<IntegrityReport> {
        let short = |found: &FoundFile| FoundFile {
            path: told(&found.path),
            ..found.clone()
        };
        self.signed.then(|| IntegrityReport {
            checked_at: self.checked_at,
            intact: self.intact,
            differing: self.differing.iter().map(|path| told(path)).collect(),
            found: self.found.iter().take(MAX_FOUND).map(short).collect(),
            counts: self.counts,
            evidence: self.evidence.clone(),
            watched,
        })
    }
}

/// A path as it is told: short, and without what would disturb a terminal.
fn told(path: &str) -> String {
    let mut end = path.len().min(MAX_PATH);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    path.get(..end).unwrap_or_default().replace(char::is_control, "?")
}

impl<T> Engine<T> {
    /// Compares what runs with its signed manifest, byte for byte.
    ///
    /// # Errors
    /// The tree or the manifest can not be read.
    pub fn verify(&self) -> Result<Integrity, Failure> {
        Ok(self.compare_installed()?.0)
    }

    /// The same, and keeps a copy of what is not as signed: healing throws it away.
    ///
    /// # Errors
    /// As [`Engine::verify`]. That the copy can not be kept is told and hinders nothing.
    pub fn inspect(&mut self) -> Result<Integrity, Failure> {
        let (mut integrity, active) = self.compare_installed()?;
        if let Some(active) = active.filter(|_| !integrity.intact) {
            integrity.found = Self::name_found(&active, integrity.found);
            match self.keep_evidence(&active, &integrity) {
                Ok(place) => integrity.evidence = Some(place),
                Err(e) => tracing::warn!(error = super::chain(&e), "what was found could not be kept as evidence"),
            }
        }
        Ok(integrity)
    }

    fn compare_installed(&self) -> Result<(Integrity, Option<Dir>), Failure> {
        let mut integrity = Integrity {
            checked_at: self.clock.now(),
            signed: false,
            intact: true,
            differing: Vec::new(),
            count: 0,
            found: Vec::new(),
            counts: FoundCounts::default(),
            evidence: None,
        };
        let Some(manifest) = self.installed_manifest()? else {
            return Ok((integrity, None));
        };
        integrity.signed = true;
        let active = match self.layout().active() {
            Ok(active) => active,
            Err(SwapError::Fs(e)) if tree::is_ours(&e) => return Err(fs_failure(&e)),
            Err(e) => {
                // A link, say, is as little signed as any other stranger in the plugin's place.
                tracing::warn!(error = super::chain(&e), "the plugin's place can not be looked into");
                integrity.intact = false;
                integrity.count = 1;
                integrity.counts.changed = 1;
                integrity.differing.push(".".to_owned());
                return Ok((integrity, None));
            }
        };
        let found = self.differences(&active.dir, &manifest)?;
        integrity.intact = found.none();
        integrity.found = (found.paths.iter().zip(&found.kinds).take(MAX_FOUND))
            .map(|(path, kind)| FoundFile {
                path: path.clone(),
                kind: *kind,
                sha256: None,
            })
            .collect();
        integrity.differing = found.paths;
        integrity.count = found.count;
        integrity.counts = found.counts;
        Ok((integrity, Some(active.dir)))
    }

    pub(super) fn differences(&self, dir: &Dir, manifest: &Manifest) -> Result<Differences, Failure> {
        let own = preserved_in(&self.ledger.preserved, manifest);
        tree::compare(dir, &manifest.files, &own).map_err(|e| fs_failure(&e))
    }

    /// Watches what [`Engine::inspect`] and [`Engine::inspect_settings`] look at; `None` where there is nothing signed.
    ///
    /// # Errors
    /// Why changes can not be seen as they happen; the slow cycle sees them.
    pub fn watch_installed(&self) -> Result<Option<Watcher>, WatchError> {
        let Ok(Some(manifest)) = self.installed_manifest() else {
            return Ok(None);
        };
        let active = self
            .layout()
            .active()
            .map_err(|e| WatchError::Io(std::io::Error::other(e)))?;
        let own = preserved_in(&self.ledger.preserved, &manifest);
        let settings = manifest.settings.as_ref().filter(|_| !self.ledger.managed.is_empty());
        let beside =
            settings.and_then(|spec| Some(self.site.work.path().join(Site::shared_path(&spec.file).parent()?)));
        Watcher::open(&active.dir, &own, beside.as_deref()).map(Some)
    }

    /// The settings that orders have set, against what the file says; `None` where no order has set any that the
    /// installed release still lets be set.
    pub fn inspect_settings(&self) -> Option<SettingsReport> {
        let spec = self.installed_manifest().ok().flatten()?.settings?;
        let mut managed = self.ledger.managed.clone();
        managed.retain(|key, _| spec.keys.get(key).is_some_and(|key| !key.host_only));
        if managed.is_empty() {
            return None;
        }
        // A file that can not be read holds none of them.
        let now = self.read_settings(&spec.file).unwrap_or_default();
        let drift = settings::drift(&now, &managed);
        let names = drift.keys.iter().filter(|key| key.len() <= MAX_KEY).take(MAX_KEYS);
        Some(SettingsReport {
            checked_at: self.clock.now(),
            file: told(spec.file.as_str()),
            managed_sha256: drift.managed,
            found_sha256: drift.found,
            drifted: names.cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_short_and_plain() {
        assert_eq!(told("lib/a.php"), "lib/a.php");
        assert_eq!(told("a\u{1b}[2Jb\n"), "a?[2Jb?");
        let long = "\u{e4}".repeat(2_000);
        assert!(told(&long).len() <= MAX_PATH);
    }
}
