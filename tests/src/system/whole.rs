//! One of everything, beside the smallest shop.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    AgentHost, ControlPlane, Ended, Hooks, Host, Options, Pace, Plugin, Probe, Releases, Watcher, WriteVersion,
};
use crate::{
    ports,
    postgres::{Durability, Postgres},
    shop::shelf::{self, Shelf},
    wait,
};

/// The product in these tests.
pub const PRODUCT: &str = "shelf";
/// The version that lies there before the first update.
pub const FIRST: &str = "1.0.0";
/// The longest that anything here may take.
pub const LIMIT: Duration = Duration::from_mins(1);

/// What the release engineers say about each release.
const DESCRIPTOR: &str = "[settings]\nfile = \"settings.json\"\n[settings.keys.colour]\ntype = \"text\"\n\
    enum = [\"red\", \"green\"]\n[settings.keys.account]\ntype = \"text\"\nhost_only = true\n";

/// The whole system. Fields are dropped in this order, each before what it stands on.
pub struct Whole {
    /// Sees each swap from outside.
    pub watcher: Watcher,
    /// The agent.
    pub agent: AgentHost,
    /// The shop.
    pub shop: Shelf,
    /// The release engineers.
    pub releases: Releases,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Its database.
    pub postgres: Postgres,
    /// Where the plugin lies.
    pub plugin: PathBuf,
    /// Where the agent takes the plugin's telemetry.
    pub udp: SocketAddr,
    home: TempDir,
}

impl Whole {
    /// Starts everything on the Postgres at hand, with version [`FIRST`] published and installed.
    pub async fn start(layout: &str) -> Result<Self> {
        Self::on(Postgres::obtain(Durability::Relaxed)?, layout).await
    }

    /// The same on this Postgres.
    pub async fn on(postgres: Postgres, layout: &str) -> Result<Self> {
        Self::with(postgres, layout, &[], shelf::write, Pace::default()).await
    }

    /// The same with more in the control plane's environment, a version [`FIRST`] as `write` lays it out, and a pace.
    pub async fn with(
        postgres: Postgres,
        layout: &str,
        environment: &[(&str, String)],
        write: WriteVersion,
        pace: Pace,
    ) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("plugmend-e2e-").tempdir()?;
        let database = postgres.database("plugmend_e2e").await?;
        let control_plane = ControlPlane::start_with(
            &home.path().join("control-plane"),
            &database,
            Options {
                heartbeat_s: pace.heartbeat_s,
            },
            environment,
        )?;
        pace.set(&database).await?;
        let releases = Releases::begin(&home.path().join("engineers"), PRODUCT, &control_plane)?;
        let plugin = home.path().join("site/plugins/shelf");
        write(&plugin, FIRST)?;
        let shop = Shelf::start(plugin.clone()).await?;
        let udp = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
        let host = host(&plugin, layout, &shop, udp);
        let agent = AgentHost::start(&home.path().join("agent"), &host, &control_plane, &releases).await?;
        let whole = Self {
            watcher: Watcher::start(plugin.clone(), shelf::version),
            agent,
            shop,
            releases,
            control_plane,
            postgres,
            plugin,
            udp,
            home,
        };
        whole.publish(FIRST, write)?;
        Ok(whole)
    }

    /// Builds, signs and publishes a version that `write` lays out; what the build said.
    pub fn publish(&self, version: &str, write: WriteVersion) -> Result<Value> {
        self.publish_as(version, write, "", "")
    }

    /// The same, with more about it: `keys` of the descriptor, and its `tables`.
    pub fn publish_as(&self, version: &str, write: WriteVersion, keys: &str, tables: &str) -> Result<Value> {
        let folder = self.home.path().join("releases").join(version);
        fs::create_dir_all(&folder)?;
        write(&folder, version)?;
        let descriptor = format!("{keys}{DESCRIPTOR}{tables}");
        self.releases.release(&folder, version, &descriptor)
    }

    /// Gives an order; its id.
    pub async fn order(&self, kind: &str, payload: Value) -> Result<String> {
        let mut order = payload;
        order["type"] = json!(kind);
        self.control_plane.ops().order(self.agent.plugin_id(), &order).await
    }

    /// Waits for an order's end.
    pub async fn ended(&self, id: &str) -> Result<Ended> {
        let ended = self.control_plane.ops().ended(id, LIMIT).await;
        Ended::read(ended.with_context(|| self.logs())?)
    }

    /// Orders an update to `version` and waits for its end.
    pub async fn update(&self, version: &str) -> Result<Ended> {
        let id = self.order("update", update_to(version)).await?;
        self.ended(&id).await
    }

    /// The plugin as the API shows it.
    pub async fn shown(&self) -> Result<Value> {
        let path = format!("/api/ops/plugins/{}", self.agent.plugin_id());
        self.control_plane.ops().get(&path).await
    }

    /// Waits until the API shows `field` of the plugin as `wanted` likes it.
    pub async fn until_shown(&self, field: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("the plugin's {field} in the API");
        let found = wait::until_async(&what, LIMIT, async || {
            let shown = self.shown().await.unwrap_or_default();
            Ok(shown.get(field).filter(|value| wanted(value)).cloned())
        });
        found.await.with_context(|| self.logs())
    }

    /// Waits until `version` is installed, seen from outside.
    pub async fn until_installed(&self, version: &str) -> Result<()> {
        let what = format!("{version} at the plugin's path");
        let seen = async || Ok((self.watcher.version().as_deref() == Some(version)).then_some(()));
        wait::until_async(&what, LIMIT, seen).await.with_context(|| self.logs())
    }

    /// Lets the plugin say one `DogStatsD` line.
    pub fn say(&self, line: &str) -> Result<()> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket
            .send_to(line.as_bytes(), self.udp)
            .map(drop)
            .context("speak to the agent")
    }

    /// The ends of both logs, for an error.
    pub fn logs(&self) -> String {
        let tail = |path: PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        format!(
            "agent's log:\n{}\ncontrol plane's log:\n{}",
            tail(self.agent.log()),
            tail(self.control_plane.log())
        )
    }
}

/// The payload of an order to update.
pub fn update_to(version: &str) -> Value {
    json!({"product": PRODUCT, "version": version, "reason": "a test"})
}

fn host(plugin: &std::path::Path, layout: &str, shop: &Shelf, udp: SocketAddr) -> Host {
    Host {
        plugin: Plugin {
            product: PRODUCT.to_owned(),
            cms: "php".to_owned(),
            path: plugin.to_owned(),
            layout: layout.to_owned(),
            version: FIRST.to_owned(),
            entries: Vec::new(),
        },
        hooks: Hooks::default(),
        probes: vec![Probe {
            http: format!("http://{}/probe", shop.at()),
            status: 200,
            contains: Some("\"version\":\"{version}\"".to_owned()),
        }],
        udp: Some(udp),
    }
}
