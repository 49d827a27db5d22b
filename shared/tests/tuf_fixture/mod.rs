//! A small release repository made on the spot: every key is drawn from its name, every document can be bent before it
//! is signed.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test helper: a panic is the report")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp as Moment};
use plugmend_shared::{
    ids::{Digest, Product},
    tuf::{
        DelegatedRole, Envelope, MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp,
        product::{self, ManifestCustom},
        sign::SigningKey,
    },
};
use semver::Version;

/// The product that the fixture carries.
pub const PRODUCT: &str = "shop-plugin";

/// When the fixture was published. Nothing in it expires within a day.
pub fn now() -> Moment {
    "2030-06-01T12:00:00Z".parse().unwrap()
}

/// `hours` after [`now`].
pub fn hours(hours: i64) -> Moment {
    now() + SignedDuration::from_hours(hours)
}

pub fn product() -> Product {
    PRODUCT.parse().unwrap()
}

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// The key called `name`: the same at every call.
pub fn key(name: &str) -> SigningKey {
    // PKCS#8 of an Ed25519 key (RFC 8410 section 7) with the seed in its last 32 bytes.
    let mut der = hex::decode("302e020100300506032b657004220420").unwrap();
    der.extend(Digest::of(name.as_bytes()).0);
    SigningKey::from_pkcs8(&der).unwrap()
}

pub fn keys(names: &[&str]) -> Vec<plugmend_shared::tuf::Key> {
    names.iter().map(|name| key(name).public().clone()).collect()
}

/// A document signed by the named keys.
pub fn signed<R: Role>(document: &R, signers: &[&str]) -> Vec<u8> {
    let value = serde_json::to_value(document).unwrap();
    sign_value(value, signers)
}

/// Any JSON signed by the named keys, whatever rules it breaks.
pub fn sign_value(value: serde_json::Value, signers: &[&str]) -> Vec<u8> {
    let mut envelope = Envelope {
        signatures: Vec::new(),
        signed: value,
        extra: serde_json::Map::new(),
    };
    for name in signers {
        envelope.sign(&key(name)).unwrap();
    }
    envelope.to_bytes().unwrap()
}

/// The repository: documents to bend, and the files as served.
#[derive(Clone)]
pub struct Repo {
    pub root: Root,
    pub targets: Targets,
    /// Delegated roles by name.
    pub roles: BTreeMap<String, Targets>,
    pub snapshot: Snapshot,
    pub timestamp: Timestamp,
    /// Who signs, by role.
    pub signers: BTreeMap<String, Vec<String>>,
    /// Whether snapshot and timestamp sign hashes and lengths.
    pub hashed: bool,
    /// What is served, by transport path.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Repo {
    /// One product with releases 1.0.0 and 1.1.0, published once.
    pub fn new() -> Self {
        let mut root = Root::new(hours(24 * 365));
        root.set_role("root", &keys(&["root-1", "root-2", "root-3"]), 2)
            .unwrap();
        root.set_role("targets", &keys(&["targets-1", "targets-2"]), 2).unwrap();
        root.set_role("snapshot", &keys(&["snapshot"]), 1).unwrap();
        root.set_role("timestamp", &keys(&["timestamp"]), 1).unwrap();
        let mut targets = Targets::new(1, hours(24 * 180));
        let release_keys = keys(&["release-1", "release-2", "release-3"]);
        targets
            .delegate(DelegatedRole::of_product(&product(), 2), &release_keys)
            .unwrap();
        let meta = BTreeMap::new();
        let mut repo = Self {
            root,
            targets,
            roles: BTreeMap::from([(PRODUCT.to_owned(), Targets::new(1, hours(24 * 180)))]),
            snapshot: Snapshot::new(1, hours(24 * 7), meta),
            timestamp: Timestamp::new(1, hours(24 * 7), MetaFile::of(1, b"")),
            signers: BTreeMap::new(),
            hashed: true,
            files: BTreeMap::new(),
        };
        repo.sign_with("root", &["root-1", "root-2"]);
        repo.sign_with("targets", &["targets-1", "targets-2"]);
        repo.sign_with("snapshot", &["snapshot"]);
        repo.sign_with("timestamp", &["timestamp"]);
        repo.sign_with(PRODUCT, &["release-1", "release-3"]);
        repo.add_release("1.0.0", b"pack one");
        repo.add_release("1.1.0", b"pack two, a little longer");
        repo.publish_root();
        repo.publish_all();
        repo
    }

    pub fn sign_with(&mut self, role: &str, signers: &[&str]) {
        let names = signers.iter().map(|name| (*name).to_owned()).collect();
        self.signers.insert(role.to_owned(), names);
    }

    fn signer_names(&self, role: &str) -> Vec<&str> {
        self.signers[role].iter().map(String::as_str).collect()
    }

    pub fn product_role(&mut self) -> &mut Targets {
        self.roles.get_mut(PRODUCT).unwrap()
    }

    /// Adds a release and serves its files.
    pub fn add_release(&mut self, text: &str, pack: &[u8]) {
        let manifest = format!("manifest of {text}").into_bytes();
        let mut file = TargetFile::of(&manifest);
        let custom = ManifestCustom {
            release_digest: Digest::of(text.as_bytes()),
            size: manifest.len() as u64,
            revoked: None,
        };
        file.custom = Some(custom.to_value().unwrap());
        let path = product::manifest_path(&product(), &version(text));
        self.put(PRODUCT, &path, &manifest, file);
        let path = product::pack_path(&product(), &version(text));
        self.put(PRODUCT, &path, pack, TargetFile::of(pack));
    }

    /// Signs for a target in `role` and serves it.
    pub fn put(&mut self, role: &str, path: &str, bytes: &[u8], file: TargetFile) {
        let consistent = self.root.consistent();
        let served = match path.rsplit_once('/') {
            _ if !consistent => path.to_owned(),
            Some((folder, name)) => format!("{folder}/{}.{name}", Digest::of(bytes)),
            None => format!("{}.{path}", Digest::of(bytes)),
        };
        self.files.insert(format!("targets/{served}"), bytes.to_vec());
        let targets = if role == "targets" {
            &mut self.targets
        } else {
            self.roles.get_mut(role).unwrap()
        };
        targets.targets.insert(path.to_owned(), file);
    }

    /// A delegated role with one key, answering for `paths`.
    pub fn delegate(&mut self, from: &str, role: &str, paths: &[&str], terminating: bool) {
        let delegated = DelegatedRole {
            name: role.to_owned(),
            keyids: Vec::new(),
            threshold: 1,
            terminating,
            paths: Some(paths.iter().map(|p| (*p).to_owned()).collect()),
            path_hash_prefixes: None,
            extra: serde_json::Map::new(),
        };
        let signer = format!("key-of-{role}");
        let public = keys(&[&signer]);
        let delegator = if from == "targets" {
            &mut self.targets
        } else {
            self.roles.get_mut(from).unwrap()
        };
        delegator.delegate(delegated, &public).unwrap();
        self.sign_with(role, &[&signer]);
        self.roles
            .entry(role.to_owned())
            .or_insert_with(|| Targets::new(1, hours(24 * 180)));
    }

    /// Signs and serves the root as it stands.
    pub fn publish_root(&mut self) {
        let bytes = signed(&self.root, &self.signer_names("root"));
        self.files
            .insert(format!("metadata/{}.root.json", self.root.head.version), bytes);
    }

    /// Raises the root's version, signs and serves it.
    pub fn next_root(&mut self) {
        self.root.head.version += 1;
        self.publish_root();
    }

    /// Signs and serves all but the root, at the versions they have, filling in snapshot and timestamp.
    pub fn publish_all(&mut self) {
        let mut meta = BTreeMap::new();
        let mut documents = vec![("targets".to_owned(), self.targets.clone())];
        documents.extend(self.roles.clone());
        for (role, document) in documents {
            let bytes = signed(&document, &self.signer_names(&role));
            let version = document.head.version;
            meta.insert(format!("{role}.json"), self.meta_file(version, &bytes));
            self.serve(&role, version, bytes);
        }
        self.snapshot.meta = meta;
        self.publish_online();
    }

    /// Signs and serves snapshot and timestamp at the versions they have; the timestamp names the snapshot.
    pub fn publish_online(&mut self) {
        let bytes = signed(&self.snapshot, &self.signer_names("snapshot"));
        let version = self.snapshot.head.version;
        let file = self.meta_file(version, &bytes);
        self.timestamp.meta.insert(Timestamp::SNAPSHOT.to_owned(), file);
        self.serve("snapshot", version, bytes);
        self.publish_timestamp();
    }

    /// Signs and serves the timestamp as it stands.
    pub fn publish_timestamp(&mut self) {
        let bytes = signed(&self.timestamp, &self.signer_names("timestamp"));
        self.files.insert("metadata/timestamp.json".into(), bytes);
    }

    /// Raises every version but the root's and publishes.
    pub fn next(&mut self) {
        self.targets.head.version += 1;
        for role in self.roles.values_mut() {
            role.head.version += 1;
        }
        self.snapshot.head.version += 1;
        self.timestamp.head.version += 1;
        self.publish_all();
    }

    fn meta_file(&self, version: u64, bytes: &[u8]) -> MetaFile {
        let mut file = MetaFile::of(version, bytes);
        if !self.hashed {
            file.length = None;
            file.hashes = None;
        }
        file
    }

    fn serve(&mut self, role: &str, version: u64, bytes: Vec<u8>) {
        let path = if self.root.consistent() {
            format!("metadata/{version}.{role}.json")
        } else {
            format!("metadata/{role}.json")
        };
        self.files.insert(path, bytes);
    }

    /// The served metadata of a role at a version.
    pub fn bytes(&self, role: &str, version: u64) -> &[u8] {
        if role == "timestamp" {
            return &self.files["metadata/timestamp.json"];
        }
        &self.files[&format!("metadata/{version}.{role}.json")]
    }
}
