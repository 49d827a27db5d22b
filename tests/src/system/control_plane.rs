//! A control plane: gateway, API and worker in one process, as one replica of it runs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
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
    log: PathBuf,
    database_url: String,
    options: Options,
    secret_key: [u8; 32],
    key: Arc<OpsKey>,
    api: SocketAddr,
    gateway: SocketAddr,
    /// Beside what every test sets.
    environment: Vec<(String, String)>,
    running: Option<Running>,
}

impl ControlPlane {
    /// Starts one on an empty or a migrated database; everything it keeps lies in `home`.
    pub fn start(home: &Path, database_url: &str, options: Options) -> Result<Self> {
        Self::start_with(home, database_url, options, &[])
    }

    /// The same, with variables of its own in its environment.
    pub fn start_with(
        home: &Path,
        database_url: &str,
        options: Options,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        fs::create_dir_all(home)?;
        let mut secret = [0_u8; 32];
        SystemRandom::new().fill(&mut secret).ok().context("no randomness")?;
        let mut this = Self {
            home: home.to_owned(),
            log: home.join("control-plane.log"),
            database_url: database_url.to_owned(),
            options,
            secret_key: secret,
            key: Arc::new(OpsKey::generate()?),
            api: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
            gateway: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
            environment: Vec::new(),
            running: None,
        };
        for (name, value) in environment {
            this.environment.push(((*name).to_owned(), value.clone()));
        }
        let out = this.command()?.args(["ca", "init"]).output()?;
        let words = String::from_utf8_lossy(&out.stderr);
        // A second replica finds the CA that the first has made.
        ensure!(out.status.success() || words.contains("already"), "ca init: {words}");
        this.launch()?;
        Ok(this)
    }

    /// Starts another replica: the same database, keys and repository, other ports, and a witness of the audit trail of its
    /// own.
    pub fn beside(&self) -> Result<Self> {
        let api = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
        let audit = self.home.join(format!("audit-{}", api.port()));
        fs::create_dir_all(&audit)?;
        let key = self.audit_dir().join("key.pem");
        fs::copy(&key, audit.join("key.pem")).with_context(|| format!("copy {}", key.display()))?;
        let mut environment = self.environment.clone();
        environment.push(("PLUGMEND_AUDIT_DIR".to_owned(), audit.display().to_string()));
        let mut this = Self {
            home: self.home.clone(),
            log: self.home.join(format!("control-plane-{}.log", api.port())),
            database_url: self.database_url.clone(),
            options: self.options,
            secret_key: self.secret_key,
            key: Arc::clone(&self.key),
            api,
            gateway: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
            environment,
            running: None,
        };
        this.launch()?;
        Ok(this)
    }

    /// What `plugmend audit verify` takes as `--key`.
    pub fn audit_key(&self) -> Result<String> {
        let out = self.command()?.arg("audit-key").output()?;
        let words = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "audit-key: {words}");
        Ok(String::from_utf8(out.stdout)?.trim().to_owned())
    }

    /// Its folder with the key and the witnessed checkpoints of the audit trail.
    pub fn audit_dir(&self) -> PathBuf {
        let own = self.environment.iter().find(|(name, _)| name == "PLUGMEND_AUDIT_DIR");
        own.map_or_else(|| self.state_dir().join("audit"), |(_, dir)| dir.into())
    }

    /// The keyed hash under which it knows a plugin secret (HMAC-SHA256), so that a fleet can be put in by SQL.
    pub fn secret_hash(&self, secret: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret_key);
        hmac::sign(&key, secret.as_bytes()).as_ref().to_vec()
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
            .env("PLUGMEND_SECRET_KEY", hex::encode(self.secret_key))
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
            )
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
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
        self.log.clone()
    }
}

/// The person in tests' tokens.
const OPERATOR: &str = "00000000-0000-4000-8000-0000000000aa";
