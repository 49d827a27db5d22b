//! The configuration file, as it is written. See `packaging/agent.example.toml` and the README for the meaning.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) state_dir: PathBuf,
    pub(super) control_plane: ControlPlane,
    pub(super) plugin: Plugin,
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) telemetry: Telemetry,
    #[serde(default)]
    pub(super) hooks: Hooks,
    #[serde(default)]
    pub(super) probes: Vec<Probe>,
    #[serde(default)]
    pub(super) sandbox: Sandbox,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlPlane {
    pub(super) url: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) ca_sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    pub(super) product: String,
    pub(super) cms: String,
    pub(super) path: PathBuf,
    pub(super) layout: String,
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) entries: Vec<String>,
    #[serde(default)]
    pub(super) preserve: Vec<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    pub(super) root_file: Option<PathBuf>,
    pub(super) root_sha256: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) socket: Option<PathBuf>,
    pub(super) group: Option<String>,
    #[serde(default)]
    pub(super) users: Vec<u32>,
    pub(super) udp: Option<String>,
    pub(super) spool_dir: Option<PathBuf>,
    pub(super) heartbeat_interval_s: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hooks {
    pub(super) reload: Option<Vec<String>>,
    pub(super) snapshot: Option<Vec<String>>,
    pub(super) cache_clear: Option<Vec<String>>,
    pub(super) opcache_fastcgi: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    pub(super) http: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) contains: Option<String>,
    pub(super) argv: Option<Vec<String>>,
    pub(super) host: Option<String>,
    #[serde(default)]
    pub(super) fatal: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sandbox {
    #[serde(default)]
    pub(super) read: Vec<PathBuf>,
    #[serde(default)]
    pub(super) accept_none: bool,
}
