//! What a heartbeat says.

use std::{collections::BTreeMap, path::PathBuf};

use plugmend_shared::{
    ids::BootId,
    protocol::{
        MAX_HEARTBEAT_BYTES,
        heartbeat::{AgentReport, Heartbeat, HostReport, InstalledReport, MAX_WINDOWS},
    },
    telemetry::{Rolling, Window},
};
use serde_json::{Map, Value};

use super::Common;
use crate::{
    platform::facts::{self, Facts},
    store::StoreError,
};

/// What of a heartbeat's length windows may have, in bytes; the rest is for the reports.
pub(super) const MAX_WINDOW_BYTES: usize = MAX_HEARTBEAT_BYTES / 4 * 3;
/// The most windows in one heartbeat.
pub(super) const BATCH: usize = MAX_WINDOWS;
/// What the plugin may say about its surroundings, in bytes of JSON; the control plane takes 16 kB.
const MAX_ENV_BYTES: usize = 12 * 1024;
/// The host is looked at only with every so many seconds between.
const SAMPLE_EVERY_S: u64 = 60;

/// What the reporter has to be told.
#[derive(Debug, Clone)]
pub struct ReporterOptions {
    /// Where the plugin lies.
    pub plugin_path: PathBuf,
    /// The platform.
    pub cms: String,
    /// This life of the agent.
    pub boot_id: BootId,
    /// What of the host's protection could not be had.
    pub reduced_protection: Vec<String>,
    /// Versions of what the plugin runs on that the host's configuration names.
    pub env: BTreeMap<String, String>,
}

/// What is installed, as the engine says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Installed {
    /// Its version.
    pub version: Option<String>,
    /// The rest.
    pub report: Option<InstalledReport>,
}

/// Writes heartbeats.
pub(super) struct Reporter {
    options: ReporterOptions,
    facts: Facts,
    host: Option<HostReport>,
    sampled_at: u64,
}

impl Reporter {
    pub(super) fn new(options: ReporterOptions) -> Self {
        Self {
            options,
            facts: Facts::default(),
            host: None,
            sampled_at: 0,
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        common: &Common,
        seq: u64,
        windows: Vec<Window>,
        rolling: &Rolling,
        installed: Installed,
    ) -> Result<Heartbeat, StoreError> {
        let now = common.clock.now();
        let shown = common.board.shown();
        let heard = common.hub.heard();
        let uptime = common.hub.elapsed().as_secs();
        let (merchant_id, plugin_id) = common.client.names();
        // What says that it runs before what lies on the disk.
        let version = heard.version.filter(|text| is_version(text)).or(installed.version);
        Ok(Heartbeat {
            plugin_id,
            merchant_id,
            plugin_version: version.unwrap_or_else(|| "unknown".to_owned()),
            env: self.env(heard.env),
            errors_last_24h: rolling.errors_last_24h(now),
            webhook_fail_rate: rolling.webhook_fail_rate(now),
            uptime,
            timestamp: now,
            boot_id: Some(self.options.boot_id),
            seq: Some(seq),
            windows,
            agent: Some(AgentReport {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                rss_bytes: facts::own_rss(),
                spool_dropped: common.kept.spool_dropped()?,
                reduced_protection: self.options.reduced_protection.clone(),
            }),
            host: self.host(uptime),
            integrity: shown.integrity,
            installed: installed.report,
            settings: shown.settings,
            early: shown.early,
            ill: shown.ill,
            audit: common.kept.audit()?,
        })
    }

    fn env(&self, heard: BTreeMap<String, String>) -> Map<String, Value> {
        // The plugin's words may not cost it the whole heartbeat: what the control plane would refuse stays here.
        let mut room = MAX_ENV_BYTES;
        let mut env = Map::new();
        for (name, value) in heard.into_iter().chain(self.options.env.clone()) {
            let (name, value) = (name.replace(char::is_control, ""), value.replace(char::is_control, " "));
            let takes = name.len() * 2 + value.len() * 2 + 8;
            if takes <= room {
                room -= takes;
                env.insert(name, Value::String(value));
            }
        }
        env.insert("cms".to_owned(), Value::String(self.options.cms.clone()));
        env.insert("os".to_owned(), Value::String(std::env::consts::OS.to_owned()));
        env.insert("arch".to_owned(), Value::String(std::env::consts::ARCH.to_owned()));
        env
    }

    fn host(&mut self, uptime: u64) -> Option<HostReport> {
        if self.host.is_none() || uptime >= self.sampled_at.saturating_add(SAMPLE_EVERY_S) {
            self.host = self.facts.sample(&self.options.plugin_path);
            self.sampled_at = uptime;
        }
        self.host.clone()
    }
}
/// Whether a text can be a version: short, and of printable characters.
fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len()) && !text.chars().any(char::is_control)
}
