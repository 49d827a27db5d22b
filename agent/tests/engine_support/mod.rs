//! A shop on disk, a signed repository on disk, and an engine between them.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper: a panic is the report")]

mod disk;
mod folder;
mod shop;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use plugmend_agent::{
    domain::{
        installed::LayoutKind,
        trial::{LiveCounters, RequestCounts},
    },
    engine::{Always, Ended, Engine, EngineDeps, EngineOptions, LastWord, NoProgress, OpenError, Signals},
    platform::{
        fastcgi::Pool,
        hooks::Hooks,
        probe::{Ask, Probe},
        sandbox::SandboxOptions,
    },
    upstream::repo::{Repository, RepositoryOptions, TrustAnchor},
};
use plugmend_shared::{
    bundle::{
        blocks,
        contents::Content,
        delta,
        manifest::{Approvals, Compatibility, FORMAT, FileEntry, Impact, Manifest, Undo},
        pack,
        path::RelPath,
    },
    clock::FixedClock,
    generation::Generation,
    ids::{CommandId, Digest, MerchantId},
    protocol::command::{Command, CommandKind, CommandPayload, HealthPolicy},
    tuf::{
        Limits, TargetFile,
        product::{self, ManifestCustom},
    },
};
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[allow(unused_imports, reason = "each test file uses its own part")]
pub use self::{
    disk::{read, write},
    folder::Folder,
    shop::{Shop, acked, failed, shop, shop_with, update},
};
use crate::fixture::{self, PRODUCT, Repo};

/// Files of a tree, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What the plugin writes itself.
pub const ORDERS: &str = "data/orders.log";
pub const SETTINGS: &str = "settings.json";
/// Everything at or under these is the plugin's own.
pub const PRESERVED: [&str; 2] = ["data", SETTINGS];

/// The plugin as it was before the agent came.
pub fn zero() -> Files {
    files("1.0.0", "zero")
}

/// A release's files: some shared with all others, some its own.
pub fn files(version: &str, mark: &str) -> Files {
    let mut files = Files::new();
    let mut add = |path: &str, content: String| files.insert(path.to_owned(), content.into_bytes());
    add(
        "package.json",
        format!("{{\"name\": \"pay\", \"version\": \"{version}\"}}"),
    );
    add("pay.php", format!("<?php\n/* Plugin Name: Pay */\nreturn '{mark}';\n"));
    add("lib/common.php", "<?php // the same in every release\n".repeat(40));
    add(
        "lib/deep/inner.php",
        format!("<?php // {mark}\n{}", "line\n".repeat(200)),
    );
    add("lib/empty", String::new());
    add("twin-a", format!("twins of {mark}"));
    add("twin-b", format!("twins of {mark}"));
    files
}

pub fn manifest(version: &str, files: &Files) -> Manifest {
    let entry = |(path, bytes): (&String, &Vec<u8>)| FileEntry {
        path: RelPath::new(path).unwrap(),
        exec: path.contains("bin/"),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    };
    let settings = serde_json::json!({
        "file": SETTINGS,
        "keys": {"timeout_ms": {"type": "integer", "min": 100.0}, "secret": {"type": "text", "host_only": true}},
    });
    Manifest {
        format: FORMAT,
        product: PRODUCT.parse().unwrap(),
        version: version.parse().unwrap(),
        impact: Impact::Low,
        files: files.iter().map(entry).collect(),
        preserve: vec![RelPath::new("data").unwrap()],
        compat: Compatibility::default(),
        fixes: Vec::new(),
        undo: Undo::CodeOnly,
        settings: Some(serde_json::from_value(settings).unwrap()),
        smoke_tests: Vec::new(),
        approvals: Approvals::default(),
        remedies: Vec::new(),
        min_agent_version: None,
    }
}

/// The release repository, in memory until it is saved.
pub struct Releases {
    pub repo: Repo,
    made: Vec<(Manifest, Files)>,
}

impl Releases {
    pub fn new() -> Self {
        let mut repo = Repo::new();
        repo.product_role().targets.clear();
        Self { repo, made: Vec::new() }
    }

    /// Signs and publishes a release, with delta packs from those before.
    pub fn add(&mut self, manifest: Manifest, files: Files) -> Digest {
        for (old, old_files) in &self.made {
            let written = delta::write((old, &mut source(old_files)), (&manifest, &mut source(&files)), 3).unwrap();
            let from = old.digest().unwrap().short();
            let path = format!("{PRODUCT}/{}/delta-{from}", manifest.version);
            self.repo
                .put(PRODUCT, &path, &written.bytes, TargetFile::of(&written.bytes));
        }
        self.add_without_delta(manifest, files)
    }

    /// Signs and publishes a release, with blocks only.
    pub fn add_without_delta(&mut self, manifest: Manifest, files: Files) -> Digest {
        let digest = manifest.digest().unwrap();
        let compressed = manifest.to_compressed().unwrap();
        let mut file = TargetFile::of(&compressed);
        let custom = ManifestCustom {
            release_digest: digest,
            size: manifest.to_bytes().unwrap().len() as u64,
            revoked: None,
        };
        file.custom = Some(custom.to_value().unwrap());
        let product = PRODUCT.parse().unwrap();
        let path = product::manifest_path(&product, &manifest.version);
        self.repo.put(PRODUCT, &path, &compressed, file);
        let mut packed = Vec::new();
        pack::write(&manifest, &mut source(&files), &mut packed, 3, &mut |_| {}).unwrap();
        let path = product::pack_path(&product, &manifest.version);
        self.repo.put(PRODUCT, &path, &packed, TargetFile::of(&packed));
        let mut cut = Vec::new();
        blocks::write(&manifest, &mut source(&files), &mut cut, &mut |_| {}).unwrap();
        let path = product::blocks_path(&product, &manifest.version);
        self.repo.put(PRODUCT, &path, &cut, TargetFile::of(&cut));
        self.made.push((manifest, files));
        self.repo.next();
        digest
    }

    /// Puts everything that is served into a folder.
    pub fn save(&self, folder: &Path) {
        for (path, bytes) in &self.repo.files {
            let to = folder.join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, bytes).unwrap();
        }
    }
}

fn source(files: &Files) -> impl FnMut(&Content) -> std::io::Result<Vec<u8>> {
    let by_digest: BTreeMap<Digest, Vec<u8>> = files.values().map(|bytes| (Digest::of(bytes), bytes.clone())).collect();
    move |content| {
        by_digest
            .get(&content.digest)
            .cloned()
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Counters that a test sets.
#[derive(Default)]
pub struct Counters(pub Mutex<(RequestCounts, RequestCounts)>);

impl LiveCounters for Counters {
    fn counts(&self) -> RequestCounts {
        self.0.lock().unwrap().0.clone()
    }

    fn recent(&self) -> RequestCounts {
        self.0.lock().unwrap().1.clone()
    }
}

/// A host's settings, small enough to be handed to a child process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    pub top: PathBuf,
    pub layout: LayoutKind,
    /// A probe that says no to this version.
    pub bad_version: Option<String>,
    pub reload: Option<Vec<String>>,
    pub snapshot: Option<Vec<String>>,
    /// The socket of a PHP pool.
    pub pool: Option<PathBuf>,
    pub merchant: Option<MerchantId>,
}

impl Host {
    /// A shop with the plugin as it was, in `top`.
    pub fn new(top: &Path, layout: LayoutKind) -> Self {
        let host = Self {
            top: top.to_owned(),
            layout,
            bad_version: None,
            reload: None,
            snapshot: None,
            pool: None,
            merchant: None,
        };
        write(&host.plugin(), &zero());
        fs::create_dir_all(host.plugin().join("data")).unwrap();
        fs::write(host.plugin().join(ORDERS), "").unwrap();
        fs::write(
            host.plugin().join(SETTINGS),
            "{\"timeout_ms\": 1000, \"secret\": \"mine\"}\n",
        )
        .unwrap();
        host
    }

    pub fn plugin(&self) -> PathBuf {
        self.top.join("plugins/pay")
    }

    pub fn work(&self) -> PathBuf {
        self.top.join("plugins/.plugmend-pay")
    }

    pub fn repository(&self) -> PathBuf {
        self.top.join("repository")
    }

    pub fn options(&self) -> EngineOptions {
        let probes = self.bad_version.iter().map(|bad| Probe {
            ask: Ask::Program(
                ["/bin/sh", "-c", "test {version} != $0", bad]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            contains: None,
            fatal: true,
        });
        EngineOptions {
            state_dir: self.top.join("state"),
            plugin: self.plugin(),
            product: PRODUCT.parse().unwrap(),
            merchant: self.merchant,
            layout: self.layout,
            adopted_version: None,
            stub_entries: vec![RelPath::new("pay.php").unwrap()],
            preserve: Vec::new(),
            env: BTreeMap::from([("php".to_owned(), "8.2.7".to_owned())]),
            host_env: BTreeMap::new(),
            agent_version: semver::Version::new(0, 1, 0),
            hooks: Hooks {
                reload: self.reload.clone(),
                snapshot: self.snapshot.clone(),
                opcache: self.pool.clone().map(Pool::Unix),
                ..Hooks::default()
            },
            probes: probes.collect(),
            sandbox: SandboxOptions {
                helper: vec![env!("CARGO_BIN_EXE_plugmend-agent").to_owned()],
                accept_none: true,
                ..SandboxOptions::default()
            },
        }
    }

    pub fn open(&self) -> Result<Engine<Folder>, OpenError> {
        self.open_with(Arc::default(), Arc::default(), Arc::default())
    }

    pub fn open_with(
        &self,
        counters: Arc<Counters>,
        signals: Arc<Signals>,
        asked: Arc<Mutex<Vec<(String, u64)>>>,
    ) -> Result<Engine<Folder>, OpenError> {
        let anchor = fs::read(self.repository().join("metadata/1.root.json")).unwrap();
        let options = RepositoryOptions {
            folder: self.top.join("state/trusted"),
            anchor: TrustAnchor::Root(anchor),
            product: PRODUCT.parse().unwrap(),
            limits: Limits::default(),
        };
        let transport = Folder {
            folder: self.repository(),
            asked,
        };
        Engine::open(
            self.options(),
            EngineDeps {
                repository: Repository::open(options, transport).unwrap(),
                clock: Arc::new(FixedClock::new(fixture::now())),
                counters,
                signals,
                last_word: self.last_word(),
                random: Arc::new(SystemRandom::new()),
            },
        )
    }

    /// `last_word` in the shop's folder, as JSON, is what the control plane says; without it every order stands.
    fn last_word(&self) -> Arc<dyn LastWord> {
        let file = self.top.join("last_word");
        if file.exists() {
            Arc::new(shop::Said(file))
        } else {
            Arc::new(Always)
        }
    }

    /// What a visitor of the plugin gets: the tree that runs, without the plugin's own data.
    pub fn visible(&self) -> Files {
        let plugin = self.plugin();
        match fs::read_to_string(plugin.join(".plugmend-current")) {
            Ok(tree) => read(&plugin.join("versions").join(tree)),
            Err(_) => read(&plugin),
        }
    }
}

/// Watches nothing: the first look decides.
pub fn at_once() -> HealthPolicy {
    HealthPolicy {
        health_check_timeout_seconds: 0,
        health_check_interval_seconds: 1,
        extended_watch_seconds: 0,
        ..HealthPolicy::default()
    }
}

pub fn command(n: u64, kind: CommandKind, version: Option<&str>) -> Command {
    Command {
        id: CommandId(Uuid::from_u128(u128::from(n))),
        kind,
        payload: CommandPayload {
            version: version.map(|v| v.parse().unwrap()),
            generation: Generation(n),
            health: Some(at_once()),
            ..CommandPayload::default()
        },
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Performs one order to its end.
pub fn perform(engine: &mut Engine<Folder>, command: &Command) -> Ended {
    runtime().block_on(engine.perform(command, Duration::ZERO, &NoProgress))
}

pub fn start_of_time() -> Timestamp {
    fixture::now()
}
