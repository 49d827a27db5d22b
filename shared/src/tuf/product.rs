//! What Plugmend adds to TUF: a product's delegated role as releases, their revocation, the least version, and who may
//! approve.

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    error::Error,
    key::KeyId,
    targets::{TargetFile, Targets},
};
use crate::{
    bundle::approval::ApproverKeys,
    ids::{Digest, Product},
};

/// The field of a product role's signed part.
pub const FIELD: &str = "x-plugmend";
/// The member of a target's `custom`.
pub const CUSTOM: &str = "plugmend";
/// Hexadecimal digits of the installed release's digest in a delta's name.
pub const DELTA_DIGITS: usize = 16;

/// A file of a release, signed: its path in the repository, length and hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTarget {
    /// The target path, without the hash prefix.
    pub path: String,
    /// Length and hashes.
    pub file: TargetFile,
}

/// Why a release must not be installed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Since when.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// `custom.plugmend` of a manifest's target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestCustom {
    /// The SHA-256 of the manifest as decompressed: the release's name.
    pub release_digest: Digest,
    /// The manifest's length when decompressed, in bytes.
    pub size: u64,
    /// Set when the release was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

impl ManifestCustom {
    /// The value for [`TargetFile::custom`].
    ///
    /// # Errors
    /// Never for values made here.
    pub fn to_value(&self) -> Result<Value, Error> {
        let inner = serde_json::to_value(self).map_err(|source| shape("the manifest's", source))?;
        Ok(serde_json::json!({ CUSTOM: inner }))
    }
}

/// A release as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelease {
    /// Its version.
    pub version: Version,
    /// Its name: the SHA-256 of the decompressed manifest.
    pub digest: Digest,
    /// The manifest's length when decompressed, in bytes.
    pub manifest_size: u64,
    /// The compressed manifest.
    pub manifest: SignedTarget,
    /// The pack.
    pub pack: SignedTarget,
    /// The blocks, for updates without a delta; absent from releases that were built without.
    pub blocks: Option<SignedTarget>,
    /// Deltas by the first [`DELTA_DIGITS`] digits of the release they start from.
    pub deltas: BTreeMap<String, SignedTarget>,
    /// Set when the release was withdrawn.
    pub revoked: Option<Revoked>,
}

/// What the release keys say about the product as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductInfo {
    /// No release below may be installed, not even to go back.
    pub minimum_version: Option<Version>,
    /// Whose approvals count.
    pub approvers: ApproverKeys,
}

/// [`FIELD`] as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProductField {
    /// See [`ProductInfo::minimum_version`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<Version>,
    /// Approvers' Ed25519 public keys, in hexadecimal, by name.
    #[serde(default)]
    pub approvers: BTreeMap<KeyId, String>,
}

impl ProductField {
    /// The field of a product's role; empty when the role has none.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn of(targets: &Targets) -> Result<Self, Error> {
        match targets.head.extra.get(FIELD) {
            None => Ok(Self::default()),
            // The JSON reader would take an empty list for an object without members.
            Some(value) if !value.is_object() => Err(Error::rule("the product's", format!("{FIELD} is not an object"))),
            Some(value) => serde_json::from_value(value.clone()).map_err(|source| shape("the product's", source)),
        }
    }

    /// Writes the field into a product's role.
    ///
    /// # Errors
    /// Never for values made here.
    pub fn store(&self, targets: &mut Targets) -> Result<(), Error> {
        let value = serde_json::to_value(self).map_err(|source| shape("the product's", source))?;
        targets.head.extra.insert(FIELD.to_owned(), value);
        Ok(())
    }
}

impl ProductInfo {
    /// Reads a product's role.
    ///
    /// # Errors
    /// When the field or an approver's key is malformed: half a rule is no rule.
    pub fn of(targets: &Targets) -> Result<Self, Error> {
        let field = ProductField::of(targets)?;
        let mut approvers = ApproverKeys::new();
        for (name, public) in field.approvers {
            let mut raw = [0; 32];
            hex::decode_to_slice(&public, &mut raw)
                .map_err(|_| Error::rule("the product's", format!("the key of approver '{name}' is malformed")))?;
            approvers.insert(name.0, raw);
        }
        Ok(Self {
            minimum_version: field.minimum_version,
            approvers,
        })
    }

    /// Whether `version` is not below the signed minimum.
    pub fn allows(&self, version: &Version) -> bool {
        self.minimum_version.as_ref().is_none_or(|least| version >= least)
    }
}

/// The target path of a release's compressed manifest.
pub fn manifest_path(product: &Product, version: &Version) -> String {
    format!("{product}/{version}/manifest.json.zst")
}

/// The target path of a release's pack.
pub fn pack_path(product: &Product, version: &Version) -> String {
    format!("{product}/{version}/pack")
}

/// The target path of a release's blocks.
pub fn blocks_path(product: &Product, version: &Version) -> String {
    format!("{product}/{version}/blocks")
}

/// The target path of the delta that leads to a release from the one named by `from`.
pub fn delta_path(product: &Product, version: &Version, from: &Digest) -> String {
    format!("{product}/{version}/delta-{}", from.short())
}

/// The releases of a product's role, lowest version first. Targets of other shapes are not releases and are passed
/// over.
///
/// # Errors
/// When a release lacks its pack, or its manifest's `custom` is malformed.
pub fn releases(product: &Product, targets: &Targets) -> Result<Vec<SignedRelease>, Error> {
    let mut found = Vec::new();
    for path in targets.targets.keys() {
        let Some(version) = version_of_manifest(product, path) else {
            continue;
        };
        if let Some(release) = release(product, &version, targets)? {
            found.push(release);
        }
    }
    found.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(found)
}

fn version_of_manifest(product: &Product, path: &str) -> Option<Version> {
    let rest = path.strip_prefix(product.as_str())?.strip_prefix('/')?;
    rest.strip_suffix("/manifest.json.zst")?.parse().ok()
}

/// One release of a product's role; `None` when it has no such version.
///
/// # Errors
/// When the release lacks its pack, or its manifest's `custom` is malformed.
pub fn release(product: &Product, version: &Version, targets: &Targets) -> Result<Option<SignedRelease>, Error> {
    let path = manifest_path(product, version);
    let Some(file) = targets.targets.get(&path) else {
        return Ok(None);
    };
    let custom = file.custom.as_ref().and_then(|custom| custom.get(CUSTOM));
    let custom = custom.ok_or_else(|| Error::rule(product.as_str(), format!("{path} has no custom.{CUSTOM}")))?;
    let custom: ManifestCustom =
        serde_json::from_value(custom.clone()).map_err(|source| shape(product.as_str(), source))?;
    let pack = pack_path(product, version);
    let pack_file = targets
        .targets
        .get(&pack)
        .ok_or_else(|| Error::rule(product.as_str(), format!("{path} has no pack beside it")))?;
    let blocks = blocks_path(product, version);
    let blocks_file = targets.targets.get(&blocks).cloned();
    Ok(Some(SignedRelease {
        version: version.clone(),
        digest: custom.release_digest,
        manifest_size: custom.size,
        manifest: SignedTarget {
            path,
            file: file.clone(),
        },
        pack: SignedTarget {
            path: pack,
            file: pack_file.clone(),
        },
        blocks: blocks_file.map(|file| SignedTarget { path: blocks, file }),
        deltas: deltas(product, version, targets),
        revoked: custom.revoked,
    }))
}

fn deltas(product: &Product, version: &Version, targets: &Targets) -> BTreeMap<String, SignedTarget> {
    let prefix = format!("{product}/{version}/delta-");
    targets
        .targets
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .map(|(path, file)| {
            let from = path[prefix.len()..].to_owned();
            let target = SignedTarget {
                path: path.clone(),
                file: file.clone(),
            };
            (from, target)
        })
        .filter(|(from, _)| from.len() == DELTA_DIGITS)
        .collect()
}

fn shape(role: &str, source: serde_json::Error) -> Error {
    Error::Shape {
        role: role.to_owned(),
        source,
    }
}
