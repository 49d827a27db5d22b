//! A control plane: gateway, API and worker in one process, as one replica of it runs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::process::Signal;

use super::{Ops, OpsKey, binaries};
use crate::{ports, process::Running, wait};

/// What may differ from the defaults.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Seconds between two heartbeats.
    pub heartbeat_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { heartbeat_s: 2 }
    }
}

/// One control plane.
pub struct ControlPlane {
    home: PathBuf,
    database_url: String,
    options: Options,
    secret_key: String,
    key: OpsKey,
    api: SocketAddr,
    gateway: SocketAddr,
    running: Option<Running>,
}

impl ControlPlane {
    /// Starts one on an empty or a migrated database; everything it keeps lies in `home`.
    pub fn start(home: &Path, database_url: &str, options: Options) -> Result<Self> {
        fs::create_dir_all(home)?;
        let mut secret = [0_u8; 32];
        SystemRandom::new().fill(&mut secret).ok().context("no randomness")?;
        let mut this = Self {
            home: home.to_owned(),
            database_url: database_url.to_owned(),
            options,
            secret_key: hex::encode(secret),
            key: OpsKey::generate()?,
            api: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
            gateway: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
            running: None,
        };
        let out = this.command()?.args(["ca", "init"]).output()?;
        let words = String::from_utf8_lossy(&out.stderr);
        // A second replica finds the CA that the first has made.
        ensure!(out.status.success() || words.contains("already"), "ca init: {words}");
        this.launch()?;
        Ok(this)
    }

    /// Starts it again after [`ControlPlane::stop`] or [`ControlPlane::kill`], on the same ports.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = self.command()?;
        command.args(["serve", "--migrate"]);
        let mut running = Running::spawn("the control plane", &mut command, &self.log())?;
        for at in [self.api, self.gateway] {
            wait::until("the control plane to listen", Duration::from_mins(1), || {
                running.check()?;
                Ok(std::net::TcpStream::connect(at).is_ok().then_some(()))
            })?;
        }
        self.running = Some(running);
        Ok(())
    }

    /// The public halves of its online keys, for the release engineers' `init`.
    pub fn repository_keys(&self) -> Result<Vec<u8>> {
        let out = self.command()?.arg("repo-keys").output()?;
        ensure!(
            out.status.success(),
            "repo-keys: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(out.stdout)
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(binaries::program("plugmend-control-plane")?);
        command
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", &self.database_url)
            .env("PLUGMEND_STATE_DIR", self.home.join("state"))
            .env("MOLAM_ID_JWT_PUBLIC", self.key.public_pem())
            .env("PLUGMEND_SECRET_KEY", &self.secret_key)
            .env("PLUGMEND_API_BIND", "127.0.0.1")
            .env("PORT", self.api.port().to_string())
            .env("PLUGMEND_GATEWAY_BIND", self.gateway.to_string())
            .env("PLUGMEND_GATEWAY_NAMES", "127.0.0.1,localhost")
            // A copied host is known for one within seconds instead of minutes.
            .env("PLUGMEND_IN_FLIGHT_S", "5")
            .env("PLUGMEND_HEARTBEAT_S", self.options.heartbeat_s.to_string())
            .env(
                "LOG_LEVEL",
                std::env::var("PLUGMEND_TEST_LOG").unwrap_or_else(|_| "info".to_owned()),
            );
        Ok(command)
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

    /// A client with both ops roles.
    pub fn ops(&self) -> Ops {
        Ops::new(self.api, self.key.token(OPERATOR, &["pay_admin", "compliance_ops"]))
    }

    /// The agents' address.
    pub fn gateway_url(&self) -> String {
        format!("https://{}", self.gateway)
    }

    /// The API's address.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Its database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Where everything lies that it keeps.
    pub fn state_dir(&self) -> PathBuf {
        self.home.join("state")
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.home.join("control-plane.log")
    }
}

/// The person in tests' tokens.
const OPERATOR: &str = "00000000-0000-4000-8000-0000000000aa";
