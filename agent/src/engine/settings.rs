//! The plugin's settings file: changed key by key, written whole and at once, kept before.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use plugmend_shared::{
    bundle::{manifest::SettingsSpec, path::RelPath},
    ids::Digest,
};
use rustix::fs::{FileType, Gid, Mode, Uid};
use serde_json::{Map, Value};

use super::{Engine, chain, fs_failure, swap_failure};
use crate::{
    domain::{
        change::{Change, Failure, SettingsChange},
        installed::Found,
        settings,
    },
    platform::{durable, error::FsError, layout::Site},
};

/// The longest settings file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;
/// The whole file as it was before the last change, in the agent's folder.
const BEFORE: &str = "settings.before";

impl<T> Engine<T> {
    /// What the settings file holds; empty when there is none.
    pub(super) fn read_settings(&self, file: &RelPath) -> Result<Map<String, Value>, Failure> {
        let Some(bytes) = self.settings_bytes(file)? else {
            return Ok(Map::new());
        };
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(map),
            _ => Err(Failure::lasting(
                "settings_unreadable",
                format!("{file} is not one JSON object; nothing was changed"),
            )),
        }
    }

    fn settings_bytes(&self, file: &RelPath) -> Result<Option<Vec<u8>>, Failure> {
        let active = self.layout().active().map_err(|e| swap_failure(&e))?;
        let path = Path::new(file.as_str());
        let here = match active.dir.read_link(path) {
            // The plugin wrote it anew, or it was never taken into safety.
            Ok(None) => durable::read_bounded(&active.dir, path, MAX_BYTES),
            _ => durable::read_bounded(&self.site.work, &Site::shared_path(file), MAX_BYTES),
        };
        here.map_err(|e| fs_failure(&e))
    }

    /// Digest of the settings that a manifest names; none while the file can not be read.
    pub(super) fn settings_digest(&self, spec: &SettingsSpec) -> Option<Digest> {
        let now = self.read_settings(&spec.file).ok()?;
        let named: BTreeMap<_, _> = now.iter().filter(|(key, _)| spec.keys.contains_key(*key)).collect();
        Some(Digest::of(&serde_json::to_vec(&named).ok()?))
    }

    /// Which side of a change the file shows. A file that shows neither was saved meanwhile: going back by keys is
    /// then right as well.
    pub(super) fn found_settings(&self, change: &Change) -> Found {
        let Some(wanted) = &change.settings else {
            return Found::Old;
        };
        match self.read_settings(&wanted.file) {
            Ok(now) if settings::is_old(&now, wanted) => Found::Old,
            _ => Found::New,
        }
    }

    pub(super) fn write_settings(&mut self, change: &Change) -> Result<(), Failure> {
        let Some(wanted) = &change.settings else {
            return Err(Failure::lasting("no_settings", "the order names no setting"));
        };
        let active = self.layout().active().map_err(|e| swap_failure(&e))?;
        let absorbed = self.site.absorb(&active.dir, self.holder(&wanted.file));
        absorbed.map_err(|e| Failure::passing("data_not_safe", chain(&e)))?;
        let now = self.read_settings(&wanted.file)?;
        self.set(wanted, now, &wanted.after)
    }

    /// Keeps the whole file, before a change of it is begun. Its digest; none when there is no file.
    pub(super) fn keep_settings(&self, file: &RelPath) -> Result<Option<Digest>, Failure> {
        let Some(bytes) = self.settings_bytes(file)? else {
            return Ok(None);
        };
        durable::write_atomic(&self.state, Path::new(BEFORE), &bytes, 0o600).map_err(|e| fs_failure(&e))?;
        Ok(Some(Digest::of(&bytes)))
    }

    /// Goes back key by key; where the plugin has spoiled the file meanwhile, to the whole file as it was.
    pub(super) fn unwrite_settings(&mut self, change: &Change) -> Result<(), Failure> {
        let Some(wanted) = &change.settings else {
            return Ok(());
        };
        match self.read_settings(&wanted.file) {
            Ok(now) => self.set(wanted, now, &wanted.before),
            Err(why) => self.restore_settings(wanted, why),
        }
    }

    fn restore_settings(&mut self, wanted: &SettingsChange, why: Failure) -> Result<(), Failure> {
        let before = durable::read_bounded(&self.state, Path::new(BEFORE), MAX_BYTES).map_err(|e| fs_failure(&e))?;
        // No backup means stop. Where no file was, an empty one says the same.
        let text = match (wanted.kept, before) {
            (None, _) => b"{}\n".to_vec(),
            (Some(kept), Some(before)) if Digest::of(&before) == kept => before,
            _ => return Err(why),
        };
        let active = self.layout().active().map_err(|e| swap_failure(&e))?;
        let absorbed = self.site.absorb(&active.dir, self.holder(&wanted.file));
        absorbed.map_err(|e| Failure::passing("data_not_safe", chain(&e)))?;
        crash_point!("engine.settings.before_restore");
        let spoiled = self.replace(&wanted.file, &text, true).map_err(|e| fs_failure(&e))?;
        let spoiled = spoiled.map_or_else(String::new, |path| {
            format!("; what it had become is {}", path.display())
        });
        self.note(format!(
            "{} could not be read any more and is as it was before the change{spoiled}",
            wanted.file
        ));
        Ok(())
    }

    /// The preserved path that a file is safe with: its own, or a folder's above it.
    fn holder<'a>(&'a self, file: &'a RelPath) -> &'a RelPath {
        let folder = self.ledger.preserved.iter().find(|path| file.is_within(path));
        folder.unwrap_or(file)
    }

    fn set(
        &self,
        change: &SettingsChange,
        mut now: Map<String, Value>,
        values: &Map<String, Value>,
    ) -> Result<(), Failure> {
        settings::apply(&mut now, values);
        let mut text =
            serde_json::to_vec_pretty(&now).map_err(|e| Failure::lasting("settings_unreadable", chain(&e)))?;
        text.push(b'\n');
        crash_point!("engine.settings.before_write");
        self.replace(&change.file, &text, false).map_err(|e| fs_failure(&e))?;
        crash_point!("engine.settings.written");
        Ok(())
    }

    /// Puts the file in place with the owner and mode that the old one had. The link to it stays. With `keep`, what was
    /// there is kept, and where is told.
    fn replace(&self, file: &RelPath, text: &[u8], keep: bool) -> Result<Option<PathBuf>, FsError> {
        let (work, path) = (&self.site.work, Site::shared_path(file));
        let old = work.stat(&path)?;
        let mode = old
            .as_ref()
            .map_or(0o644, |stat| match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => stat.st_mode & 0o777,
                // There may be secrets in it.
                _ => 0o600,
            });
        let temp = path.with_file_name(".plugmend-settings");
        work.remove_file(&temp)?;
        durable::write_new(work, &temp, text, mode)?;
        let new = work.open_file(&temp)?;
        // Without the right to give files away it stays the agent's, readable as before.
        if let Some(stat) = old {
            let _ = rustix::fs::fchown(&new, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        }
        let _ = rustix::fs::fchmod(&new, Mode::from_raw_mode(mode));
        let kept = if keep && old.is_some() {
            work.exchange(&temp, work, &path)?;
            Some(self.site.keep_replaced(&temp, file)?)
        } else {
            work.rename(&temp, work, &path)?;
            None
        };
        path.parent().map_or(Ok(()), |parent| work.open_dir(parent)?.sync())?;
        Ok(kept)
    }
}
