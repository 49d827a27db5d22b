//! A small real Node shop (`tests/shop/node`): a front that holds the socket, and workers that load the plugin.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use plugmend_shared::ids::Digest;
use rustix::process::Signal;

use super::payments::WEBHOOK_SECRET;
use crate::{house, npm, ports, process::Running, wait};

/// Where a shop lies and where its plugin is to be installed.
#[derive(Debug, Clone)]
pub struct Place {
    /// The shop's folder.
    pub home: PathBuf,
    /// The plugin's path in it, for the agent to manage.
    pub plugin: PathBuf,
    /// The file to which paid orders are appended.
    pub orders: PathBuf,
    /// The Unix socket for reloads.
    pub control: PathBuf,
}

impl Place {
    /// Lays out a shop in `home` with everything but the plugin.
    pub fn prepare(home: &Path) -> Result<Self> {
        let modules = dependencies()?;
        let links = home.join("node_modules");
        fs::create_dir_all(links.join("@medusajs"))?;
        fs::create_dir_all(home.join("plugins"))?;
        symlink(modules.join("stripe"), links.join("stripe"))?;
        symlink(source().join("framework"), links.join("@medusajs/framework"))?;
        Ok(Self {
            plugin: home.join("plugins/payment-stripe"),
            orders: home.join("orders"),
            control: home.join("control.sock"),
            home: home.to_owned(),
        })
    }

    /// The agent's reload hook for this shop, as an argument list.
    pub fn reload_hook(&self) -> Vec<String> {
        let script = source().join("reload.js");
        [
            "node".into(),
            script.display().to_string(),
            self.control.display().to_string(),
        ]
        .into()
    }
}

/// A running shop.
pub struct NodeShop {
    place: Place,
    at: SocketAddr,
    running: Running,
}

impl NodeShop {
    /// Starts the shop; its plugin must be installed. `statsd` is where the agent listens.
    pub fn start(place: &Place, port: u16, statsd: Option<SocketAddr>) -> Result<Self> {
        let mut command = Command::new("node");
        command
            .arg(source().join("front.js"))
            .env("SHOP_PORT", port.to_string())
            .env("SHOP_CONTROL", &place.control)
            .env("SHOP_RUN", place.home.join("run"))
            .env("SHOP_PLUGIN", &place.plugin)
            .env("SHOP_SECRET", WEBHOOK_SECRET)
            .env("SHOP_ORDERS", &place.orders)
            .env("NODE_PATH", place.home.join("node_modules"))
            .env_remove("NODE_OPTIONS");
        if let Some(at) = statsd {
            command.env("SHOP_STATSD", at.to_string());
        }
        let mut running = Running::spawn("the Node shop", &mut command, &place.home.join("shop.log"))?;
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        wait::until("the Node shop to open", Duration::from_secs(30), || {
            running.check()?;
            Ok(std::net::TcpStream::connect(at).is_ok().then_some(()))
        })?;
        Ok(Self {
            place: place.clone(),
            at,
            running,
        })
    }

    /// Where customers come in.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Where it lies.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its process.
    pub fn process(&self) -> &Running {
        &self.running
    }
}

impl Drop for NodeShop {
    fn drop(&mut self) {
        // The front ends its worker too.
        let _ = self.running.stop(Signal::TERM, Duration::from_secs(5));
    }
}

/// The version that serves customers, as the front writes it into its `run` folder.
pub fn serving(run: &Path) -> Option<String> {
    fs::read_to_string(run.join("current"))
        .ok()
        .filter(|text| !text.is_empty())
}

/// A port for the shop, chosen before it starts because the agent's probes name it.
pub fn port() -> Result<u16> {
    Ok(ports::free()?)
}

fn source() -> PathBuf {
    house::workspace().join("tests/shop/node")
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

/// Makes sure that Node.js and npm are here; installs them on Debian as root.
pub fn ensure() -> Result<()> {
    if runs("node") && runs("npm") {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("this needs Node.js 18 or newer with npm: install them (Debian: apt-get install nodejs npm)");
    }
    eprintln!("installing Node.js with apt-get");
    npm::run(Command::new("apt-get").args(["-qq", "update"]))?;
    npm::run(
        Command::new("apt-get")
            .args(["-qq", "-y", "--no-install-recommends", "install", "nodejs", "npm"])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// What the plugin itself depends on, installed once from the shop's lock file.
fn dependencies() -> Result<PathBuf> {
    ensure()?;
    let lock = fs::read(source().join("package-lock.json"))?;
    let cache = npm::cache_dir();
    let done = cache.join(format!("shop-{}", Digest::of(&lock).short()));
    let modules = done.join("node_modules");
    if modules.is_dir() {
        return Ok(modules);
    }
    fs::create_dir_all(&cache)?;
    let work = tempfile::Builder::new().prefix(".shop-").tempdir_in(&cache)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source().join(file), work.path().join(file))?;
    }
    npm::run(
        Command::new("npm")
            .args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(work.path()),
    )
    .context("install the shop's dependencies with npm")?;
    match fs::rename(work.path(), &done) {
        Ok(()) => {}
        Err(_) if modules.is_dir() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(modules)
}
