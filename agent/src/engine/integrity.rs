//! The installed files against the signed manifest.

use jiff::Timestamp;
use plugmend_shared::{bundle::manifest::Manifest, protocol::heartbeat::IntegrityReport};
use serde::{Deserialize, Serialize};

use super::{Engine, fs_failure, materialise::preserved_in, swap_failure};
use crate::{
    domain::change::Failure,
    platform::{
        beneath::Dir,
        tree::{self, Differences},
    },
};

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
}

impl Integrity {
    /// The form that a heartbeat carries; `None` where there is nothing to compare with.
    pub fn report(&self) -> Option<IntegrityReport> {
        self.signed.then(|| IntegrityReport {
            checked_at: self.checked_at,
            intact: self.intact,
            differing: self.differing.clone(),
        })
    }
}

impl<T> Engine<T> {
    /// Compares what runs with its signed manifest, byte for byte.
    ///
    /// # Errors
    /// The tree or the manifest can not be read.
    pub fn verify(&self) -> Result<Integrity, Failure> {
        let checked_at = self.clock.now();
        let Some(manifest) = self.installed_manifest()? else {
            return Ok(Integrity {
                checked_at,
                signed: false,
                intact: true,
                differing: Vec::new(),
                count: 0,
            });
        };
        let active = self.layout().active().map_err(|e| swap_failure(&e))?;
        let found = self.differences(&active.dir, &manifest)?;
        Ok(Integrity {
            checked_at,
            signed: true,
            intact: found.none(),
            differing: found.paths,
            count: found.count,
        })
    }

    pub(super) fn differences(&self, dir: &Dir, manifest: &Manifest) -> Result<Differences, Failure> {
        let own = preserved_in(&self.ledger.preserved, manifest);
        tree::compare(dir, &manifest.files, &own).map_err(|e| fs_failure(&e))
    }
}
