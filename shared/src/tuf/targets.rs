//! The targets roles' documents, delegated ones included (specification section 4.5).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp as Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    TOP_LEVEL,
    delegation::SuccinctRoles,
    error::Error,
    hash::{self, Hashes, Mismatch},
    head::{Head, Role},
    key::{Key, KeyId},
    metadata::check_keys,
};

/// Files, and roles that answer for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Type, version, expiry.
    #[serde(flatten)]
    pub head: Head,
    /// Files by path.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else may sign for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// A file that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its hashes.
    pub hashes: Hashes,
    /// What the application adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TargetFile {
    /// The entry for a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, Hashes::of(bytes))
    }

    /// The entry for a file of which length and hashes are known.
    pub fn new(length: u64, hashes: Hashes) -> Self {
        Self {
            length,
            hashes,
            custom: None,
            extra: Map::new(),
        }
    }

    /// Checks a whole file.
    ///
    /// # Errors
    /// When length or content differ from what was signed.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        hash::check_length(bytes, self.length)?;
        self.hashes.check(bytes)
    }
}

/// The roles a targets role delegates to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delegations {
    /// Keys by name.
    pub keys: BTreeMap<KeyId, Key>,
    /// Roles in order of precedence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<DelegatedRole>>,
    /// Or many bins at once (TAP 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A role that answers for some paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Its name, which is also its file's.
    pub name: String,
    /// Names of its keys.
    pub keyids: Vec<KeyId>,
    /// Signatures of distinct keys that are needed.
    pub threshold: u32,
    /// Whether the search ends here for its paths, found or not.
    #[serde(default)]
    pub terminating: bool,
    /// Patterns of the paths it answers for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Or prefixes of the SHA-256 of the path, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Targets {
    /// An empty document.
    pub fn new(version: u64, expires: Moment) -> Self {
        Self {
            head: Head::new::<Self>(version, expires),
            targets: BTreeMap::new(),
            delegations: None,
        }
    }

    /// The delegation to `role`, with its keys.
    pub fn delegation(&self, role: &str) -> Option<(&Delegations, &DelegatedRole)> {
        let delegations = self.delegations.as_ref()?;
        let found = delegations.roles.iter().flatten().find(|r| r.name == role)?;
        Some((delegations, found))
    }

    /// Adds or replaces a delegation and its keys. Keys that no delegation names any more are dropped.
    ///
    /// # Errors
    /// When a key has no name (see [`Key::id`]).
    pub fn delegate(&mut self, mut role: DelegatedRole, keys: &[Key]) -> Result<(), Error> {
        let delegations = self.delegations.get_or_insert_default();
        role.keyids.clear();
        for key in keys {
            let id = key.id().map_err(|source| Error::Json {
                role: role.name.clone(),
                source,
            })?;
            role.keyids.push(id.clone());
            delegations.keys.insert(id, key.clone());
        }
        let roles = delegations.roles.get_or_insert_default();
        match roles.iter_mut().find(|r| r.name == role.name) {
            Some(existing) => *existing = role,
            None => roles.push(role),
        }
        let used: BTreeSet<&KeyId> = roles.iter().flat_map(|r| &r.keyids).collect();
        delegations.keys.retain(|id, _| used.contains(id));
        Ok(())
    }
}

impl DelegatedRole {
    /// The delegation of a Plugmend product: terminating, its own folder only, any `threshold` of the keys that
    /// [`Targets::delegate`] adds.
    pub fn of_product(product: &crate::ids::Product, threshold: u32) -> Self {
        Self {
            name: product.to_string(),
            keyids: Vec::new(),
            threshold,
            terminating: true,
            paths: Some(vec![format!("{product}/*/*")]),
            path_hash_prefixes: None,
            extra: Map::new(),
        }
    }

    fn check(&self, role: &str) -> Result<(), Error> {
        if self.name.is_empty() || TOP_LEVEL.contains(&self.name.as_str()) {
            return Err(Error::rule(
                role,
                format!("it delegates to a role named '{}'", self.name),
            ));
        }
        if self.paths.is_some() == self.path_hash_prefixes.is_some() {
            return Err(Error::rule(
                role,
                format!(
                    "the delegation to '{}' must have paths or path_hash_prefixes, and not both",
                    self.name
                ),
            ));
        }
        check_keys(&self.keyids, self.threshold, role)
    }
}

impl Role for Targets {
    const KIND: &'static str = "targets";

    fn head(&self) -> &Head {
        &self.head
    }

    fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    fn check(&self, role: &str) -> Result<(), Error> {
        let Some(delegations) = &self.delegations else {
            return Ok(());
        };
        if delegations.roles.is_some() == delegations.succinct_roles.is_some() {
            return Err(Error::rule(
                role,
                "delegations must have roles or succinct_roles, and not both",
            ));
        }
        if let Some(succinct) = &delegations.succinct_roles {
            return succinct.check(role);
        }
        let mut names = BTreeSet::new();
        for delegated in delegations.roles.iter().flatten() {
            delegated.check(role)?;
            if !names.insert(&delegated.name) {
                return Err(Error::rule(role, format!("it delegates to '{}' twice", delegated.name)));
            }
        }
        Ok(())
    }
}
