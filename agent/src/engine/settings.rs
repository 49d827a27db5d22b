//! The plugin's settings file: changed key by key, written whole and at once, kept before.

use std::path::Path;

use plugmend_shared::{bundle::path::RelPath, ids::Digest};
use rustix::fs::{Gid, Mode, Uid};
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

    /// Digest of the settings file, when the installed release has one.
    pub(super) fn settings_digest(&self) -> Option<Digest> {
        let spec = self.installed_manifest().ok().flatten()?.settings?;
        self.settings_bytes(&spec.file)
            .ok()
            .flatten()
            .map(|bytes| Digest::of(&bytes))
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
        // Within a preserved folder the file is safe with it.
        let folder = self.ledger.preserved.iter().find(|path| wanted.file.is_within(path));
        let absorbed = self.site.absorb(&active.dir, folder.unwrap_or(&wanted.file));
        absorbed.map_err(|e| Failure::passing("data_not_safe", chain(&e)))?;
        if let Some(bytes) = self.settings_bytes(&wanted.file)? {
            let kept = durable::write_atomic(&self.state, Path::new("settings.before"), &bytes, 0o600);
            kept.map_err(|e| fs_failure(&e))?;
        }
        self.set(wanted, &wanted.after)
    }

    pub(super) fn unwrite_settings(&mut self, change: &Change) -> Result<(), Failure> {
        change
            .settings
            .as_ref()
            .map_or(Ok(()), |wanted| self.set(wanted, &wanted.before))
    }

    fn set(&self, change: &SettingsChange, values: &Map<String, Value>) -> Result<(), Failure> {
        let mut now = self.read_settings(&change.file)?;
        settings::apply(&mut now, values);
        let mut text =
            serde_json::to_vec_pretty(&now).map_err(|e| Failure::lasting("settings_unreadable", chain(&e)))?;
        text.push(b'\n');
        crash_point!("engine.settings.before_write");
        self.replace(&change.file, &text).map_err(|e| fs_failure(&e))?;
        crash_point!("engine.settings.written");
        Ok(())
    }

    /// Puts the file in place with the owner and mode that the old one had. The link to it stays.
    fn replace(&self, file: &RelPath, text: &[u8]) -> Result<(), FsError> {
        let (work, path) = (&self.site.work, Site::shared_path(file));
        let old = work.stat(&path)?;
        let mode = old.as_ref().map_or(0o644, |stat| stat.st_mode & 0o777);
        let temp = path.with_file_name(".plugmend-settings");
        work.remove_file(&temp)?;
        durable::write_new(work, &temp, text, mode)?;
        let new = work.open_file(&temp)?;
        // Without the right to give files away it stays the agent's, readable as before.
        if let Some(stat) = old {
            let _ = rustix::fs::fchown(&new, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        }
        let _ = rustix::fs::fchmod(&new, Mode::from_raw_mode(mode));
        work.rename(&temp, work, &path)?;
        path.parent().map_or(Ok(()), |parent| work.open_dir(parent)?.sync())
    }
}
