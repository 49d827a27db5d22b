//! A staging runner: a process of its own, and where the tests run as root, under a user of its own.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use plugmend_shared::ids::Digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use tempfile::TempDir;

use super::{ControlPlane, Ops, Releases, binaries};
use crate::{ports, process::Running, wait};

/// Who the runner is where the tests are root: a user that owns nothing.
const RUNNER: u32 = 64_321;

/// Where a runner will be, and what it wants to hear. Control planes are told before it starts.
#[derive(Debug, Clone)]
pub struct StagingDoor {
    at: SocketAddr,
    token: String,
}

impl StagingDoor {
    /// A free port and a fresh token.
    pub fn new() -> Result<Self> {
        let mut random = [0_u8; 24];
        SystemRandom::new().fill(&mut random).ok().context("no randomness")?;
        Ok(Self {
            at: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
            token: hex::encode(random),
        })
    }

    /// What a control plane is told.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STAGING_RUNNER_URL", format!("http://{}", self.at)),
            ("STAGING_RUNNER_TOKEN", self.token.clone()),
        ]
    }
}

/// A runner. It gets releases from the control plane's API, and has none of its keys.
pub struct StagingRunner {
    door: StagingDoor,
    repository: String,
    root: Digest,
    program: PathBuf,
    running: Option<Running>,
    home: TempDir,
}

impl StagingRunner {
    /// Starts one behind `door`.
    pub fn start(door: &StagingDoor, control_plane: &ControlPlane, releases: &Releases) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("plugmend-staging-").tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
        let own = home.path().join("own");
        fs::create_dir(&own)?;
        if is_root() {
            chown(&own, Some(RUNNER), Some(RUNNER))?;
        }
        let mut this = Self {
            door: door.clone(),
            repository: format!("{}/repo", control_plane.api_url()),
            root: Digest::of(&fs::read(releases.root_file())?),
            program: reachable(&binaries::program("plugmend-control-plane")?, home.path())?,
            running: None,
            home,
        };
        this.launch()?;
        Ok(this)
    }

    /// Starts it again after [`StagingRunner::stop`], behind the same door.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--roles", "staging-runner"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("STAGING_RUNNER_TOKEN", &self.door.token)
            .env("PLUGMEND_STAGING_BIND", self.door.at.to_string())
            .env("PLUGMEND_STAGING_REPOSITORY", &self.repository)
            .env("PLUGMEND_STAGING_ROOT_SHA256", self.root.to_string())
            .env("PLUGMEND_STAGING_STATE_DIR", self.home.path().join("own"))
            .current_dir("/");
        if is_root() {
            command.uid(RUNNER).gid(RUNNER);
        }
        let mut running = Running::spawn("the staging runner", &mut command, &self.log())?;
        wait::until("the staging runner to listen", Duration::from_mins(1), || {
            running.check()?;
            Ok(TcpStream::connect(self.door.at).is_ok().then_some(()))
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Ends it, as a host that goes down.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.kill()?;
        }
        Ok(())
    }

    /// How it confines a test on this host, in its own words.
    pub async fn protection(&self) -> Result<String> {
        let (status, words) = Ops::new(self.door.at, String::new())
            .ask(Method::GET, "/readyz", None)
            .await?;
        anyhow::ensure!(status == StatusCode::OK, "the staging runner is not ready: {words}");
        let words = words.as_str().unwrap_or_default();
        Ok(words.trim().trim_start_matches("ready: ").to_owned())
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.home.path().join("runner.log")
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program, at a place where the runner's user can come to it: a home folder may be closed to others.
fn reachable(program: &Path, home: &Path) -> Result<PathBuf> {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    if !is_root() || program.ancestors().filter(|at| !at.as_os_str().is_empty()).all(open) {
        return Ok(program.to_owned());
    }
    let copy = home.join("plugmend-control-plane");
    match fs::hard_link(program, &copy) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error.into()),
        // Another file system.
        Err(_) => drop(fs::copy(program, &copy)?),
    }
    Ok(copy)
}
