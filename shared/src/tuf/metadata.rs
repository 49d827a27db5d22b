//! The top-level roles' documents: root, timestamp and snapshot (specification sections 4.3, 4.4 and 4.6).

use std::collections::BTreeMap;

use jiff::Timestamp as Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    TOP_LEVEL,
    error::Error,
    hash::Hashes,
    head::{Head, Role},
    key::{Key, KeyId},
};

/// Who may sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Names of the keys.
    pub keyids: Vec<KeyId>,
    /// Signatures of distinct keys that are needed; at least 1.
    pub threshold: u32,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RoleKeys {
    /// `threshold` of the named keys.
    pub fn new(keyids: Vec<KeyId>, threshold: u32) -> Self {
        Self {
            keyids,
            threshold,
            extra: Map::new(),
        }
    }

    pub(super) fn check(&self, role: &str) -> Result<(), Error> {
        check_keys(&self.keyids, self.threshold, role)
    }
}

pub(super) fn check_keys(keyids: &[KeyId], threshold: u32, role: &str) -> Result<(), Error> {
    if threshold == 0 {
        return Err(Error::rule(role, "a threshold must be at least 1"));
    }
    let mut seen = std::collections::BTreeSet::new();
    if !keyids.iter().all(|id| seen.insert(id)) {
        return Err(Error::rule(role, "a role lists a key twice"));
    }
    Ok(())
}

/// The keys of all top-level roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub head: Head,
    /// Whether metadata files carry their version in the name, and targets their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistent_snapshot: Option<bool>,
    /// Keys by name.
    pub keys: BTreeMap<KeyId, Key>,
    /// Signers by role: all of root, targets, snapshot and timestamp.
    pub roles: BTreeMap<String, RoleKeys>,
}

impl Root {
    /// Whether file names carry versions and hashes; `false` when the document does not say.
    pub fn consistent(&self) -> bool {
        self.consistent_snapshot.unwrap_or(false)
    }
}

impl Role for Root {
    const KIND: &'static str = "root";

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self, role: &str) -> Result<(), Error> {
        if self.roles.len() != TOP_LEVEL.len() || !TOP_LEVEL.iter().all(|name| self.roles.contains_key(*name)) {
            return Err(Error::rule(
                role,
                "it must name root, targets, snapshot and timestamp, and no other role",
            ));
        }
        self.roles.values().try_for_each(|keys| keys.check(role))
    }
}

/// What one metadata file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Its version.
    pub version: u64,
    /// Its length in bytes, when signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its hashes, when signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MetaFile {
    /// The entry for a metadata file with these bytes.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Self {
            version,
            length: Some(bytes.len() as u64),
            hashes: Some(Hashes::of(bytes)),
            extra: Map::new(),
        }
    }

    pub(super) fn check(&self, role: &str) -> Result<(), Error> {
        if self.version == 0 {
            return Err(Error::rule(role, "versions start at 1"));
        }
        Ok(())
    }
}

/// Which snapshot is current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub head: Head,
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, MetaFile>,
}

impl Timestamp {
    /// The file name of its single entry.
    pub const SNAPSHOT: &'static str = "snapshot.json";

    /// A timestamp that names `snapshot`.
    pub fn new(version: u64, expires: Moment, snapshot: MetaFile) -> Self {
        Self {
            head: Head::new::<Self>(version, expires),
            meta: BTreeMap::from([(Self::SNAPSHOT.to_owned(), snapshot)]),
        }
    }

    /// The snapshot it names. Checked documents always have one.
    ///
    /// # Errors
    /// When there is none.
    pub fn snapshot(&self) -> Result<&MetaFile, Error> {
        self.meta
            .get(Self::SNAPSHOT)
            .ok_or_else(|| Error::rule("timestamp", "it must name snapshot.json"))
    }
}

impl Role for Timestamp {
    const KIND: &'static str = "timestamp";

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self, role: &str) -> Result<(), Error> {
        self.snapshot()?.check(role)
    }
}

/// Which versions of all targets roles belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub head: Head,
    /// Targets roles' files by name (`targets.json`, `<role>.json`).
    pub meta: BTreeMap<String, MetaFile>,
}

impl Snapshot {
    /// A snapshot that names these files.
    pub fn new(version: u64, expires: Moment, meta: BTreeMap<String, MetaFile>) -> Self {
        Self {
            head: Head::new::<Self>(version, expires),
            meta,
        }
    }

    /// The entry of a targets role.
    pub fn role(&self, role: &str) -> Option<&MetaFile> {
        self.meta.get(&format!("{role}.json"))
    }
}

impl Role for Snapshot {
    const KIND: &'static str = "snapshot";

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self, role: &str) -> Result<(), Error> {
        self.meta.values().try_for_each(|file| file.check(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_of_zero_and_a_key_listed_twice_break_the_rules() {
        assert!(RoleKeys::new(vec!["a".into()], 0).check("root").is_err());
        assert!(RoleKeys::new(vec!["a".into(), "a".into()], 1).check("root").is_err());
        assert!(RoleKeys::new(vec!["a".into(), "b".into()], 1).check("root").is_ok());
    }
}
