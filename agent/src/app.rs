//! The only place that sees every floor: wires them together.

mod convert;

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use plugmend_shared::{
    clock::{Clock, SystemClock},
    ids::BootId,
};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::{
    config::Settings,
    ingest::{Hub, Ingest, IngestError},
    lifecycle::{End, Lifecycle},
    platform::facts,
    store::{Kept, Sequence, StoreError},
    tasks::{
        Common, Orders,
        board::Board,
        heartbeat::{HeartbeatTask, Installed, ReporterOptions},
        local::{self, Question, Reply},
        outbox, progress,
        renewal::RenewalTask,
        status, watch as watching,
    },
    upstream::{
        client::{Client, ClientError, ClientOptions},
        identity_store::{IdentityStore, IdentityStoreError},
    },
};

/// Why the agent did not start. Nothing was changed.
#[derive(Debug, Error)]
pub enum AppError {
    /// The operating system refused something basic.
    #[error("the agent can not start")]
    System(#[from] io::Error),
    /// The state directory can not be used.
    #[error("the state directory {0} can not be used; make it and give it to the agent's user")]
    StateDir(PathBuf, #[source] io::Error),
    /// There is no usable identity.
    #[error("the agent can not start without its identity")]
    Identity(#[from] IdentityStoreError),
    /// The client can not be made.
    #[error("the way to the control plane can not be opened")]
    Client(#[from] ClientError),
    /// The store can not be used.
    #[error("the agent can not start without its store")]
    Store(#[from] StoreError),
    /// It can not listen to the plugin.
    #[error("the agent can not listen to its plugin")]
    Ingest(#[from] IngestError),
    /// A group in the configuration does not exist.
    #[error("telemetry.group '{0}' is not a group of this host")]
    NoSuchGroup(String),
}

impl AppError {
    /// Whether a new enrolment is what is missing.
    pub fn needs_enrolment(&self) -> bool {
        matches!(self, Self::Client(ClientError::NotEnrolled))
    }
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// Why it did not start.
pub fn run(settings: &Settings) -> Result<End, AppError> {
    // One thread is enough for an agent, and all that a small host should give.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let agent = start(settings)?;
        Ok(agent.run().await?)
    })
}

/// Opens everything in order: what can be refused first comes first.
fn start(settings: &Settings) -> Result<Lifecycle, AppError> {
    let dir = &settings.state_dir;
    use_state_dir(dir)?;
    let random = SystemRandom::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let boot_id = BootId::from_parts(clock.now(), random_bytes(&random)?);
    let identity = IdentityStore::open(dir)?;
    let options = ClientOptions {
        url: settings.url.clone(),
        boot_id,
    };
    let client = Arc::new(Client::open(&options, identity.clone(), clock.clone())?);
    let ingest = Ingest::bind(&convert::ingest(&settings.telemetry)?)?;
    let opened = Kept::open(&dir.join("kept"))?;
    if let Some(aside) = &opened.moved_aside {
        warn!(
            "the agent's store was damaged and is made anew; the old one is {}",
            aside.display()
        );
    }
    let kept = Arc::new(opened.kept);
    let (teller, told) = progress::channel();
    let common = Common {
        orders: Arc::new(Orders::open(kept.clone(), teller.clone())?),
        random: Arc::new(move || random_bytes(&random).map_or(0, u64::from_le_bytes)),
        clock: clock.clone(),
        kept,
        hub: Arc::new(Hub::default()),
        client,
        board: Arc::new(Board::default()),
        answers: Arc::new(Notify::new()),
        teller,
    };
    let reporter = ReporterOptions {
        plugin_path: settings.plugin.path.clone(),
        cms: settings.plugin.cms.clone(),
        boot_id,
        reduced_protection: Vec::new(),
    };
    let (_installed, installed_seen) = watch::channel(Installed::default());
    let urgent = Arc::new(Notify::new());
    let machine = facts::machine_boot();
    let sequence = Sequence::open(dir, &common.kept, &machine, clock.now())?;
    let interval = settings.telemetry.heartbeat_interval_s;
    let heartbeat = HeartbeatTask::open(
        common.clone(),
        sequence,
        machine,
        reporter,
        interval,
        installed_seen,
        urgent.clone(),
    )?;
    let door = local::bind(dir).map_err(|error| AppError::StateDir(dir.clone(), error))?;
    let answer = {
        let (common, place, identity) = (common.clone(), convert::place(settings), identity.clone());
        move |question| {
            let reply = match question {
                Question::Status => Reply::of(&status::of_running(&common, &place, &identity, Value::Null)),
                Question::Rollback | Question::Verify => Reply::failed("not yet"),
            };
            async move { reply }
        }
    };
    let mut life = Lifecycle::default();
    let stop = life.stopping();
    life.spawn("telemetry", ingest.run(common.hub.clone(), stop.clone()));
    life.spawn("heartbeat", heartbeat.run(stop.clone()));
    life.spawn("progress", progress::run(common.clone(), told, stop.clone()));
    life.spawn("outbox", outbox::run(common.clone(), stop.clone()));
    life.spawn("watch", watching::run(common.clone(), urgent, stop.clone()));
    life.spawn("renewal", RenewalTask::new(common, identity).run(stop.clone()));
    life.spawn("door", local::run(door, answer, stop));
    Ok(life)
}

/// The state directory is the agent's alone: in it are its key and what the swap trusts.
fn use_state_dir(dir: &PathBuf) -> Result<(), AppError> {
    let failed = |error| AppError::StateDir(dir.clone(), error);
    let found = fs::metadata(dir).map_err(failed)?;
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        warn!("{} was open to other users; it is closed now", dir.display());
    }
    Ok(())
}

fn random_bytes<const N: usize>(random: &SystemRandom) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    random
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gives no randomness"))?;
    Ok(bytes)
}
