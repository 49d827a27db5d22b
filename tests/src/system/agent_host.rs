//! An agent beside one plugin, as on a merchant's host.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ControlPlane, Releases, binaries, ops};
use crate::process::Running;

/// What the host says about its plugin; written into the agent's configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Plugin {
    /// The product.
    pub product: String,
    /// The platform.
    pub cms: String,
    /// Where it lies.
    pub path: PathBuf,
    /// `stub`, `exchange` or `symlink`.
    pub layout: String,
    /// The version that lies there before the first update.
    pub version: String,
    /// Entry files that get a loader, for `stub`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
}

/// What the host runs around a change.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Hooks {
    /// Makes running processes take up the new code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<Vec<String>>,
    /// PHP-FPM's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opcache_fastcgi: Option<String>,
}

/// What shows that the plugin works: an HTTP probe.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// The address.
    pub http: String,
    /// The status wanted.
    pub status: u16,
    /// The text wanted; `{version}` stands for the installed version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Host {
    /// The plugin.
    pub plugin: Plugin,
    /// Its hooks.
    pub hooks: Hooks,
    /// Its probes.
    pub probes: Vec<Probe>,
    /// Where the agent listens for telemetry by UDP.
    pub udp: Option<SocketAddr>,
}

/// An agent.
pub struct AgentHost {
    home: PathBuf,
    merchant_id: String,
    plugin_id: String,
    running: Option<Running>,
}

impl AgentHost {
    /// Makes a merchant and a token, configures the agent in `home`, enrols it and starts it.
    pub async fn start(home: &Path, host: &Host, control_plane: &ControlPlane, releases: &Releases) -> Result<Self> {
        fs::create_dir_all(home)?;
        let ops = control_plane.ops();
        let merchant = ops.post("/api/ops/merchants", &json!({"name": "A shop"})).await?;
        let merchant_id = ops::text(&merchant, "id")?;
        let wanted = json!({
            "merchant_id": merchant_id, "product": host.plugin.product, "cms": host.plugin.cms,
        });
        let token = ops.post("/api/ops/enrolment-tokens", &wanted).await?;
        let mut this = Self {
            home: home.to_owned(),
            merchant_id,
            plugin_id: String::new(),
            running: None,
        };
        let ca = ops::text(&token, "ca_sha256")?;
        fs::write(this.config(), configuration(home, host, control_plane, releases, &ca)?)?;
        this.plugin_id = this.enrol(&ops::text(&token, "token")?)?;
        this.launch()?;
        Ok(this)
    }

    /// Spends the token; the id that the plugin got.
    fn enrol(&self, token: &str) -> Result<String> {
        let file = self.home.join("token");
        fs::write(&file, token)?;
        let enrolled = self.cli(&["enrol", "--token-file", &file.display().to_string()])?;
        fs::remove_file(file)?;
        ops::text(&enrolled, "plugin_id")
    }

    /// Starts the daemon.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(binaries::program("plugmend-agent")?);
        command.arg("--config").arg(self.config()).arg("run");
        command.env(
            "LOG_LEVEL",
            std::env::var("PLUGMEND_TEST_LOG").unwrap_or_else(|_| "info".to_owned()),
        );
        self.running = Some(Running::spawn("the agent", &mut command, &self.log())?);
        Ok(())
    }

    /// Asks it to end and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop(Signal::TERM, Duration::from_secs(30))?;
        }
        Ok(())
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.kill()?;
        }
        Ok(())
    }

    /// Runs one of the verbs for the person on the host; its answer as data.
    pub fn cli(&self, arguments: &[&str]) -> Result<Value> {
        let out = Command::new(binaries::program("plugmend-agent")?)
            .arg("--config")
            .arg(self.config())
            .arg("--json")
            .args(arguments)
            .output()?;
        ensure!(
            out.status.success(),
            "plugmend-agent {} ended with {}: {}{}",
            arguments.join(" "),
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(serde_json::from_slice(&out.stdout).unwrap_or(Value::Null))
    }

    /// A second agent with a copy of this one's state, beside a copy of the plugin: a cloned host.
    pub fn twin(&self, state_dir: &Path, plugin: &Path) -> Result<Self> {
        let home = self.home.with_extension("twin");
        let copy = home
            .join("site")
            .join(plugin.file_name().context("a plugin has a name")?);
        fs::create_dir_all(home.join("site"))?;
        crate::npm::run(Command::new("cp").arg("-a").arg(plugin).arg(&copy))?;
        let text = fs::read_to_string(self.config())?;
        let mut whole: toml::Table = toml::from_str(&text).context("read the agent's configuration")?;
        let set = |table: &mut toml::Table, key: &str, value: &Path| {
            table.insert(key.to_owned(), value.display().to_string().into());
        };
        set(&mut whole, "state_dir", state_dir);
        if let Some(toml::Value::Table(table)) = whole.get_mut("plugin") {
            set(table, "path", &copy);
        }
        // Its own way in for telemetry; the addresses of the first are taken.
        let mut telemetry = toml::Table::new();
        set(&mut telemetry, "socket", &home.join("agent.sock"));
        whole.insert("telemetry".to_owned(), telemetry.into());
        let twin = Self {
            home,
            merchant_id: self.merchant_id.clone(),
            plugin_id: self.plugin_id.clone(),
            running: None,
        };
        fs::write(twin.config(), toml::to_string(&whole)?)?;
        Ok(twin)
    }

    /// Where it keeps its identity and its ledger.
    pub fn state_dir(&self) -> PathBuf {
        self.home.join("state")
    }

    /// Whose plugin it is.
    pub fn merchant_id(&self) -> &str {
        &self.merchant_id
    }

    /// The plugin's id.
    pub fn plugin_id(&self) -> &str {
        &self.plugin_id
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.home.join("agent.toml")
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.home.join("agent.log")
    }
}

fn configuration(
    home: &Path,
    host: &Host,
    control_plane: &ControlPlane,
    releases: &Releases,
    ca_sha256: &str,
) -> Result<String> {
    let mut telemetry = json!({"socket": home.join("agent.sock")});
    if let Some(udp) = host.udp {
        telemetry["udp"] = json!(udp.to_string());
    }
    let whole = json!({
        "state_dir": home.join("state"),
        "control_plane": {"url": control_plane.gateway_url(), "ca_sha256": ca_sha256},
        "plugin": host.plugin,
        "trust": {"root_file": releases.root_file()},
        "telemetry": telemetry,
        "hooks": host.hooks,
        "probes": host.probes,
    });
    toml::to_string(&whole).context("write the agent's configuration")
}
