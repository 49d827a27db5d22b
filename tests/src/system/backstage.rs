//! What stands behind any shop: Postgres, a control plane, and the release engineers of one product.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{AgentHost, ControlPlane, Ended, Host, Options, Pace, Releases, sql};
use crate::postgres::{Durability, Postgres};

/// How a folder becomes one version of the plugin.
pub type WriteVersion = fn(&Path, &str) -> Result<()>;

/// Everything but shop and agent. Fields are dropped in this order, each before what it stands on.
pub struct Backstage {
    /// The release engineers.
    pub releases: Releases,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Its database.
    pub postgres: Postgres,
    descriptor: String,
    home: TempDir,
}

/// What may differ from one backstage to another.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How fast everything goes.
    pub pace: Pace,
    /// Postgres'.
    pub durability: Durability,
}

impl Default for Terms {
    /// Quick ones, for tests.
    fn default() -> Self {
        Self {
            pace: Pace {
                watch_s: 1,
                ..Pace::default()
            },
            durability: Durability::Relaxed,
        }
    }
}

impl Terms {
    /// Quick ones, but for so many seconds between heartbeats.
    pub fn with_heartbeat(heartbeat_s: u32) -> Self {
        let quick = Self::default();
        Self {
            pace: Pace {
                heartbeat_s,
                ..quick.pace
            },
            ..quick
        }
    }
}

impl Backstage {
    /// Starts everything for `product`. `descriptor` is what the engineers say about each release.
    pub async fn start(product: &str, descriptor: &str, terms: Terms) -> Result<Self> {
        let home = crate::shop::php::open_folder()?;
        let postgres = Postgres::obtain(terms.durability)?;
        let database = postgres.database("plugmend_host").await?;
        let options = Options {
            heartbeat_s: terms.pace.heartbeat_s,
        };
        let control_plane = ControlPlane::start(&home.path().join("control-plane"), &database, options)?;
        terms.pace.set(&database).await?;
        // Its versions are major steps, and one person orders them.
        sql::run(&database, "UPDATE ops_policy SET require_multisig_for_major = false").await?;
        let releases = Releases::begin(&home.path().join("engineers"), product, &control_plane)?;
        Ok(Self {
            releases,
            control_plane,
            postgres,
            descriptor: descriptor.to_owned(),
            home,
        })
    }

    /// A folder of that name, for shops and agents.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Builds, signs and publishes a version that `write` lays out; what the build said.
    pub fn publish(&self, version: &str, write: WriteVersion) -> Result<Value> {
        let folder = self.home.path().join("builds").join(version);
        fs::create_dir_all(&folder)?;
        write(&folder, version)?;
        self.releases.release(&folder, version, &self.descriptor)
    }

    /// Enrols and starts an agent that keeps its files in `home`.
    pub async fn agent(&self, home: &Path, host: &Host) -> Result<AgentHost> {
        AgentHost::start(home, host, &self.control_plane, &self.releases).await
    }

    /// Gives an order (`update` or `rollback`) that is tried once, and waits for its end.
    pub async fn order(&self, agent: &AgentHost, kind: &str, version: &str) -> Result<Ended> {
        let ops = self.control_plane.ops();
        let order = json!({
            "type": kind, "product": self.releases.product(), "version": version, "reason": "a test", "max_retries": 0,
        });
        let id = ops.order(agent.plugin_id(), &order).await?;
        let ended = ops.ended(&id, super::LIMIT).await;
        Ended::read(ended.with_context(|| self.logs(agent))?)
    }

    /// The same, when nothing but success will do.
    pub async fn complete(&self, agent: &AgentHost, kind: &str, version: &str) -> Result<Ended> {
        let ended = self.order(agent, kind, version).await?;
        ensure!(
            ended.status == "completed",
            "{kind} to {version} ended as {}: {}\n{}",
            ended.status,
            ended.raw,
            self.logs(agent)
        );
        Ok(ended)
    }

    /// The ends of both logs, for an error.
    pub fn logs(&self, agent: &AgentHost) -> String {
        let tail = |path: PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        format!(
            "agent's log:\n{}\ncontrol plane's log:\n{}",
            tail(agent.log()),
            tail(self.control_plane.log())
        )
    }
}
