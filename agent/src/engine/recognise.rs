//! An adopted folder that is, byte for byte, a signed release: once that is known, its next update can be a delta pack
//! and its files can be checked against the signatures.

use plugmend_shared::bundle::{manifest::Manifest, path::RelPath};

use super::{Engine, fetch::repo_failure, fs_failure, materialise::preserved_in};
use crate::{
    domain::{change::Failure, gate::Direction, preserved},
    platform::tree,
    upstream::repo::{Freshness, Transport},
};

impl<T: Transport> Engine<T> {
    /// Asks the repository whether what was adopted is a signed release; whether that is known now. Nothing is asked when
    /// it is known already, or when the same was compared before in vain.
    ///
    /// # Errors
    /// The repository can not be reached, or the files can not be read; it can be asked again later.
    pub async fn recognise(&mut self) -> Result<bool, Failure> {
        if self.ledger.installed.digest.is_some() {
            return Ok(true);
        }
        if self.ledger.transaction.is_some() || self.refresh(Direction::Forward).await? != Freshness::Current {
            return Ok(false);
        }
        self.compare_adopted().await
    }

    /// The same with the signed releases that are at hand. What stands in the way is told and hinders nothing.
    pub(super) async fn try_recognise(&mut self) {
        if self.ledger.installed.digest.is_some() {
            return;
        }
        if let Err(failure) = self.compare_adopted().await {
            tracing::info!(
                words = failure.words,
                "the adopted folder could not be compared with its release"
            );
        }
    }

    async fn compare_adopted(&mut self) -> Result<bool, Failure> {
        let installed = self.ledger.installed.clone();
        let release = self
            .repository
            .release(&installed.version)
            .map_err(|e| repo_failure(&e))?;
        let Some(release) = release.cloned() else {
            return Ok(false);
        };
        let question = (installed.name.clone(), release.digest);
        if self.unlike.as_ref() == Some(&question) {
            return Ok(false);
        }
        let manifest = match self.manifest(&release.digest)? {
            Some((manifest, _)) => manifest,
            None => self.fetch_manifest(&release).await?,
        };
        let Ok(new_data) = preserved::additions(&self.ledger.preserved, &manifest) else {
            self.unlike = Some(question);
            return Ok(false);
        };
        let data: Vec<RelPath> = self.ledger.preserved.iter().cloned().chain(new_data).collect();
        if !self.is_alike(&manifest, &data)? {
            self.unlike = Some(question);
            return Ok(false);
        }
        let before = self.ledger.clone();
        let ledger = &mut self.ledger;
        ledger.preserved = data;
        ledger.installed.digest = Some(release.digest);
        for tree in ledger.zero.iter_mut().chain(&mut ledger.previous) {
            if tree.name == installed.name {
                tree.digest = Some(release.digest);
            }
        }
        if let Err(e) = self.file.write(&mut self.ledger) {
            self.ledger = before;
            return Err(super::recover::ledger_failure(&e));
        }
        tracing::info!(version = %installed.version, "the adopted folder is the signed release, byte for byte");
        Ok(true)
    }

    fn is_alike(&self, manifest: &Manifest, data: &[RelPath]) -> Result<bool, Failure> {
        let dir = self.tree_dir(&self.ledger.installed)?;
        let own = preserved_in(data, manifest);
        let found = tree::compare(&dir, &manifest.files, &own).map_err(|e| fs_failure(&e))?;
        if !found.none() {
            tracing::info!(
                version = %manifest.version, differing = found.count, some = ?found.paths.first(),
                "the adopted folder is not the signed release of that version"
            );
        }
        Ok(found.none())
    }
}
