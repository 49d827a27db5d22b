//! The only place that sees every floor: wires them together.

mod convert;
mod door;
mod engine;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use plugmend_shared::{
    clock::{Clock, SystemClock},
    ids::BootId,
};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tracing::warn;

pub use self::{convert::place, engine::Way};
use crate::{
    config::Settings,
    engine::{Engine, OpenError, Signals},
    ingest::{Hub, Ingest, IngestError},
    lifecycle::{End, Lifecycle},
    platform::{facts, lock::LockError, memory},
    store::{Kept, Sequence, StoreError, or_nothing},
    tasks::{
        Common, Orders,
        board::{Board, chain},
        commands,
        engine::{EngineTask, Seen},
        frugal,
        heartbeat::{HeartbeatTask, ReporterOptions},
        local, outbox, progress,
        renewal::RenewalTask,
        watch as watching,
    },
    upstream::{
        client::{Client, ClientError, ClientOptions},
        identity_store::{IdentityStore, IdentityStoreError},
        repo::RepoError,
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
    /// The root of trust can not be read.
    #[error("the root of trust {0} can not be read; it comes with the agent's package, or from the release engineers")]
    Root(PathBuf, #[source] io::Error),
    /// The repository's store can not be used.
    #[error("the store of signed metadata can not be used")]
    Repository(#[from] RepoError),
    /// The engine does not open.
    #[error("the plugin can not be looked after")]
    Engine(#[from] OpenError),
    /// A probe goes elsewhere.
    #[error("the probe {0} does not go to this machine; use http://127.0.0.1, and host for the name of the site")]
    Probe(String),
    /// A group in the configuration does not exist.
    #[error("telemetry.group '{0}' is not a group of this host")]
    NoSuchGroup(String),
}

impl AppError {
    /// Whether another agent looks after this plugin.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Engine(OpenError::Lock(LockError::Held(_)))
                | Self::Ingest(IngestError::InUse(_))
                | Self::Store(StoreError::Held(_))
        )
    }

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
    memory::be_frugal();
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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random = SystemRandom::new();
    let boot_id = BootId::from_parts(clock.now(), random_bytes(&random)?);
    let identity = IdentityStore::open(dir)?;
    let options = ClientOptions {
        url: settings.url.clone(),
        boot_id,
    };
    let client = Arc::new(Client::open(&options, identity.clone(), clock.clone())?);
    let kept = open_store(dir)?;
    let (teller, told) = progress::channel();
    let signals = Arc::new(Signals::default());
    let common = Common {
        orders: Arc::new(Orders::open(kept.clone(), teller.clone(), signals.clone())),
        random: Arc::new(move || random_bytes(&random).map_or(0, u64::from_le_bytes)),
        hub: Arc::new(Hub::with_env(or_nothing(kept.env()))),
        clock,
        kept,
        client,
        board: Arc::new(Board::default()),
        urgent: Arc::new(Notify::new()),
        answers: Arc::new(Notify::new()),
        teller,
    };
    let engine = engine::open(settings, parts(&common, &signals))?;
    let ingest = Ingest::bind(&convert::ingest(&settings.telemetry)?)?;
    let door = local::bind(dir).map_err(|error| AppError::StateDir(dir.clone(), error))?;

    let seen = Seen {
        installed: watch::Sender::default(),
        status: watch::Sender::default(),
    };
    let (jobs, jobs_to_do) = mpsc::channel(4);
    let answering = door::Door {
        common: common.clone(),
        place: convert::place(settings),
        identity: identity.clone(),
        jobs,
        looks: Arc::new(Semaphore::new(door::LOOKS)),
        engine: seen.status.subscribe(),
    };
    let heartbeat = heartbeat(settings, &common, boot_id, &seen)?;
    let engine = EngineTask::new(engine, common.clone(), jobs_to_do, seen, signals);

    let mut life = Lifecycle::default();
    let stop = life.stopping();
    life.spawn("telemetry", ingest.run(common.hub.clone(), stop.clone()));
    life.spawn("heartbeat", heartbeat.run(stop.clone()));
    life.spawn("poll", commands::poll(common.clone(), stop.clone()));
    life.spawn("engine", engine.run(stop.clone()));
    life.spawn("progress", progress::run(common.clone(), told, stop.clone()));
    life.spawn("outbox", outbox::run(common.clone(), stop.clone()));
    life.spawn("watch", watching::run(common.clone(), stop.clone()));
    life.spawn("frugal", frugal::run(common.clone(), stop.clone()));
    life.spawn("renewal", RenewalTask::new(common, identity).run(stop.clone()));
    life.spawn(
        "door",
        local::run(door, move |question| answering.clone().answer(question), stop),
    );
    Ok(life)
}

fn open_store(dir: &Path) -> Result<Arc<Kept>, AppError> {
    let opened = Kept::open(&dir.join("kept"))?;
    if let Some(aside) = &opened.moved_aside {
        warn!(
            "the agent's store was damaged and is made anew; the old one is {}",
            aside.display()
        );
    }
    if let Some(error) = &opened.closed {
        warn!("the agent goes on without its store: {}", chain(error));
    }
    Ok(Arc::new(opened.kept))
}

fn parts(common: &Common, signals: &Arc<Signals>) -> engine::Parts {
    engine::Parts {
        way: Way::Enrolled(common.client.clone()),
        merchant: Some(common.client.names().0),
        env: or_nothing(common.kept.env()),
        clock: common.clock.clone(),
        counters: common.hub.clone(),
        signals: signals.clone(),
    }
}

fn heartbeat(settings: &Settings, common: &Common, boot_id: BootId, seen: &Seen) -> Result<HeartbeatTask, AppError> {
    let now = common.clock.now();
    let sequence = Sequence::open(&settings.state_dir, &common.kept, facts::machine_boot(), now);
    let reporter = ReporterOptions {
        plugin_path: settings.plugin.path.clone(),
        cms: settings.plugin.cms.clone(),
        boot_id,
        reduced_protection: engine::reduced_protection(settings)?,
        env: settings.plugin.env.clone(),
    };
    let interval = settings.telemetry.heartbeat_interval_s;
    let installed = seen.installed.subscribe();
    Ok(HeartbeatTask::open(
        common.clone(),
        sequence,
        reporter,
        interval,
        installed,
    ))
}

/// An engine for the command line, when no agent runs. Without a sound identity it can only use what lies on the host.
///
/// # Errors
/// Why it does not open; another agent that runs is one reason.
pub fn open_alone(settings: &Settings) -> Result<Engine<Way>, AppError> {
    use_state_dir(&settings.state_dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random = SystemRandom::new();
    let options = ClientOptions {
        url: settings.url.clone(),
        boot_id: BootId::from_parts(clock.now(), random_bytes(&random)?),
    };
    let identity = IdentityStore::open(&settings.state_dir).map_err(AppError::from);
    let client = identity.and_then(|identity| Ok(Client::open(&options, identity, clock.clone())?));
    let (way, merchant) = match client {
        Ok(client) => {
            let merchant = client.names().0;
            (Way::Enrolled(Arc::new(client)), Some(merchant))
        }
        Err(error) => {
            if !error.needs_enrolment() {
                warn!("only what lies on this host can be used: {}", chain(&error));
            }
            (Way::Closed, None)
        }
    };
    let parts = engine::Parts {
        way,
        merchant,
        env: BTreeMap::new(),
        clock,
        counters: Arc::new(Hub::default()),
        signals: Arc::new(Signals::default()),
    };
    engine::open(settings, parts)
}

/// The state directory is the agent's alone: in it are its key and what the swap trusts.
fn use_state_dir(dir: &Path) -> Result<(), AppError> {
    let failed = |error| AppError::StateDir(dir.to_path_buf(), error);
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
