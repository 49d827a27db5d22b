//! Release engineers in memory: they sign what the command line would have them sign.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp as Moment};
use plugmend_control_plane::repo::{OnlineKeys, PublicKeys};
use plugmend_shared::{
    bundle::{
        blocks,
        contents::Content,
        manifest::{Approvals, Compatibility, FORMAT, FileEntry, Impact, Manifest, Undo},
        pack,
        path::RelPath,
    },
    ids::{Digest, Product},
    tuf::{
        DelegatedRole, Envelope, Role, Root, TargetFile, Targets,
        product::{self, ManifestCustom, ProductField},
        sign::{self, SigningKey},
    },
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use super::{
    http::Answer,
    people,
    plane::{Plane, Plugin},
};

/// The product that they release.
pub const PRODUCT: &str = "molam-pay-node";

/// Three people, two of whom must sign.
pub struct Engineers {
    pub keys: Vec<SigningKey>,
    pub root: Root,
    pub targets: Targets,
    pub releases: Targets,
    pub roots: Vec<String>,
    /// Other products' metadata, signed.
    others: BTreeMap<String, String>,
    online: PublicKeys,
}

/// A built release: its target entries and its files.
pub struct Built {
    pub manifest: Manifest,
    pub entries: BTreeMap<String, TargetFile>,
    pub files: Vec<Vec<u8>>,
}

impl Engineers {
    pub fn new(online: PublicKeys, now: Moment) -> Self {
        let keys: Vec<_> = (0..3).map(|_| key()).collect();
        let later = now + SignedDuration::from_hours(24 * 100);
        let mut this = Self {
            root: Root::new(later),
            targets: Targets::new(1, later),
            releases: Targets::new(1, later),
            roots: Vec::new(),
            others: BTreeMap::new(),
            online,
            keys,
        };
        this.delegate(2);
        this.set_root(2);
        ProductField::default().store(&mut this.releases).unwrap();
        this
    }

    pub fn product() -> Product {
        PRODUCT.parse().unwrap()
    }

    fn public(&self) -> Vec<plugmend_shared::tuf::Key> {
        self.keys.iter().map(|k| k.public().clone()).collect()
    }

    fn delegate(&mut self, threshold: u32) {
        let role = DelegatedRole::of_product(&Self::product(), threshold);
        self.targets.delegate(role, &self.public()).unwrap();
    }

    /// Names the present keys in the root.
    pub fn set_root(&mut self, threshold: u32) {
        for role in [Root::KIND, Targets::KIND] {
            let keys = self.public();
            self.root.set_role(role, &keys, threshold).unwrap();
        }
        self.root.set_role("snapshot", &self.online.snapshot, 1).unwrap();
        self.root.set_role("timestamp", &self.online.timestamp, 1).unwrap();
    }

    /// Signs with the keys of these numbers.
    pub fn sign<R: Role>(&self, document: &R, who: &[usize]) -> String {
        let mut envelope = Envelope::unsigned(document).unwrap();
        for n in who {
            envelope.sign(&self.keys[*n]).unwrap();
        }
        String::from_utf8(envelope.to_bytes().unwrap()).unwrap()
    }

    /// Adds a release to what will be signed next.
    pub fn add(&mut self, built: &Built) {
        self.releases.targets.extend(built.entries.clone());
    }

    /// The next version of the product's metadata.
    pub fn next(&mut self) {
        self.releases = sign::next(&self.releases, self.releases.head.expires).unwrap();
    }

    /// Another product without releases, whose metadata expire at `expires`.
    pub fn add_product(&mut self, name: &str, expires: Moment) {
        self.targets = sign::next(&self.targets, self.targets.head.expires).unwrap();
        let role = DelegatedRole::of_product(&name.parse().unwrap(), 2);
        self.targets.delegate(role, &self.public()).unwrap();
        let mut releases = Targets::new(1, expires);
        ProductField::default().store(&mut releases).unwrap();
        self.others.insert(name.to_owned(), self.sign(&releases, &[0, 1]));
    }

    /// Everything, signed by two.
    pub fn submission(&self) -> Value {
        self.submission_by(&[0, 1])
    }

    /// Everything; the product's metadata signed by these.
    pub fn submission_by(&self, who: &[usize]) -> Value {
        let roots = if self.roots.is_empty() {
            vec![self.sign(&self.root, &[0, 1])]
        } else {
            self.roots.clone()
        };
        let mut metadata = json!({
            "targets": self.sign(&self.targets, &[0, 1]), PRODUCT: self.sign(&self.releases, who),
        });
        for (name, signed) in &self.others {
            metadata[name] = json!(signed);
        }
        json!({ "roots": roots, "metadata": metadata })
    }
}

pub fn key() -> SigningKey {
    SigningKey::generate(&SystemRandom::new()).unwrap().1
}

/// Builds a release in memory.
pub fn build(version: &str, files: &[(&str, &str)]) -> Built {
    let mut entries: Vec<_> = files
        .iter()
        .map(|(path, text)| FileEntry {
            path: RelPath::new(path).unwrap(),
            exec: false,
            size: text.len() as u64,
            sha256: Digest::of(text.as_bytes()),
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        format: FORMAT,
        product: Engineers::product(),
        version: version.parse().unwrap(),
        impact: Impact::Medium,
        files: entries,
        preserve: Vec::new(),
        compat: Compatibility::default(),
        fixes: vec!["error_spike".to_owned()],
        undo: Undo::CodeOnly,
        settings: None,
        smoke_tests: Vec::new(),
        approvals: Approvals::default(),
        remedies: Vec::new(),
        min_agent_version: None,
    };
    from_manifest(manifest, files)
}

/// The same from a manifest, which need not be an honest one.
pub fn from_manifest(manifest: Manifest, files: &[(&str, &str)]) -> Built {
    let mut pack = Vec::new();
    let source = |content: &Content| {
        let found = files
            .iter()
            .find(|(_, text)| Digest::of(text.as_bytes()) == content.digest);
        Ok(found.unwrap().1.as_bytes().to_vec())
    };
    pack::write(&manifest, &mut source.clone(), &mut pack, 1, &mut |_| {}).unwrap();
    let mut cut = Vec::new();
    blocks::write(&manifest, &mut source.clone(), &mut cut, &mut |_| {}).unwrap();
    let compressed = manifest.to_compressed().unwrap();
    let bytes = manifest.to_bytes().unwrap();
    let mut signed = TargetFile::of(&compressed);
    let custom = ManifestCustom {
        release_digest: Digest::of(&bytes),
        size: bytes.len() as u64,
        revoked: None,
    };
    signed.custom = Some(custom.to_value().unwrap());
    let entries = BTreeMap::from([
        (product::manifest_path(&manifest.product, &manifest.version), signed),
        (
            product::pack_path(&manifest.product, &manifest.version),
            TargetFile::of(&pack),
        ),
        (
            product::blocks_path(&manifest.product, &manifest.version),
            TargetFile::of(&cut),
        ),
    ]);
    Built {
        manifest,
        entries,
        files: vec![compressed, pack, cut],
    }
}

pub async fn begin() -> (Plane, Engineers) {
    let plane = Plane::start().await;
    let keys = OnlineKeys::load_or_make(&plane.repository.path().join("keys"), &SystemRandom::new()).unwrap();
    let engineers = Engineers::new(keys.public(), plane.now());
    (plane, engineers)
}

pub async fn put(plane: &Plane, name: &Digest, bytes: &[u8]) -> Answer {
    let token = people::sign(&people::claims("ada", &["pay_admin"], plane.now()));
    plane
        .api
        .send(
            "PUT",
            &format!("/api/ops/releases/blobs/{name}"),
            &token,
            bytes.to_vec(),
        )
        .await
}

pub async fn upload(plane: &Plane, built: &Built) {
    for file in &built.files {
        put(plane, &Digest::of(file), file).await.expect(201);
    }
}

pub async fn publish(plane: &Plane, submission: Value) -> Answer {
    plane.ops("POST", "/api/ops/releases/publish", submission).await
}

/// One published release, 1.0.0.
pub async fn published() -> (Plane, Engineers, Built) {
    let (plane, mut engineers) = begin().await;
    let built = build("1.0.0", &[("index.js", "one"), ("lib/pay.js", "pay")]);
    upload(&plane, &built).await;
    engineers.add(&built);
    publish(&plane, engineers.submission()).await.expect(200);
    (plane, engineers, built)
}

pub fn stored(plane: &Plane, path: &str) -> Option<Vec<u8>> {
    std::fs::read(plane.repository.path().join("repository").join(path)).ok()
}

pub async fn order(plane: &Plane, plugin: &Plugin, version: &str) -> Answer {
    let body = json!({ "type": "update", "version": version });
    plane
        .ops("POST", &format!("/api/ops/plugins/{}/commands", plugin.id), body)
        .await
}
