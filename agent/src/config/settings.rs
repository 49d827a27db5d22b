//! Validated settings.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use plugmend_shared::{
    bundle::path::RelPath,
    ids::{Digest, Product},
};

/// Everything that the agent was told by its host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ledger, store, identity and trusted metadata lie here.
    pub state_dir: PathBuf,
    /// `https://host:port` of the control plane's gateway.
    pub url: String,
    /// How the gateway proves itself at enrolment.
    pub ca: Pin,
    /// Where trust in releases begins.
    pub root: Pin,
    /// What it looks after.
    pub plugin: Plugin,
    /// Where it listens.
    pub telemetry: Telemetry,
    /// What the host runs around a change.
    pub hooks: Hooks,
    /// What shows that the plugin works.
    pub probes: Vec<Probe>,
    /// How a release's own tests are confined.
    pub sandbox: Sandbox,
}

/// How a release's own tests are confined.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Folders beside the system's that they may read (an interpreter's, say).
    pub read: Vec<PathBuf>,
    /// Whether they may run where the system can not confine them.
    pub accept_none: bool,
}

/// Something to trust: a file, or the digest that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// This file.
    File(PathBuf),
    /// Whatever has this SHA-256.
    Sha256(Digest),
}

/// The plugin.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its product.
    pub product: Product,
    /// The platform it runs on.
    pub cms: String,
    /// Where it lies.
    pub path: PathBuf,
    /// How it is swapped.
    pub layout: Layout,
    /// The version of a directory that was there before the agent, when it can not be read from it.
    pub version: Option<semver::Version>,
    /// Entry files that get a loader at adoption, for `stub`.
    pub entries: Vec<RelPath>,
    /// Data of the plugin to keep through updates, beside what signed manifests name.
    pub preserve: Vec<RelPath>,
    /// Versions of what it runs on, by name as in manifests: `php`, `wordpress`. The plugin's own word on others counts too.
    pub env: BTreeMap<String, String>,
}

/// How a plugin is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A loader reads one pointer file.
    Stub,
    /// Two real directories change places.
    Exchange,
    /// A symbolic link is flipped.
    Symlink,
}

impl Layout {
    /// Its name in the configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Exchange => "exchange",
            Self::Symlink => "symlink",
        }
    }
}

/// Where the agent listens.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// The Unix socket for JSON lines; datagrams go to the one beside it with `.dgram` appended.
    pub socket: Option<PathBuf>,
    /// The group that may use it, by name or number.
    pub group: Option<String>,
    /// Users that may use it, by number.
    pub users: Vec<u32>,
    /// UDP on loopback.
    pub udp: Option<SocketAddr>,
    /// NDJSON files.
    pub spool_dir: Option<PathBuf>,
    /// Seconds between heartbeats until the control plane says otherwise.
    pub heartbeat_interval_s: u32,
}

/// What the host runs around a change. Argument lists: nothing goes through a shell.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Makes running processes take up the new code.
    pub reload: Option<Vec<String>>,
    /// Saves the data before a change that the code alone can not undo.
    pub snapshot: Option<Vec<String>>,
    /// Clears the platform's caches.
    pub cache_clear: Option<Vec<String>>,
    /// PHP-FPM's socket, to reset its OPcache: `unix:/path` or `host:port`.
    pub opcache_fastcgi: Option<String>,
}

/// What shows that the plugin works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub ask: Ask,
    /// Text that the answer or output must contain; `{version}` stands for the installed version.
    pub contains: Option<String>,
    /// Whether one failure takes a release back at once.
    pub fatal: bool,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A page of this machine.
    Http {
        /// Its address: plain HTTP.
        url: String,
        /// The status that is right.
        status: u16,
        /// The `Host` header, where the shop tells sites apart by it.
        host: Option<String>,
    },
    /// A command that must end with 0.
    Command(Vec<String>),
}
