//! The only place that sees every floor: wires them together.

mod audit;
mod gateway;
mod healing;
mod issuer;
mod staging;

use std::{net::TcpListener, num::NonZeroU32, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use plugmend_shared::clock::{Clock, SystemClock};
use ring::rand::SystemRandom;

use crate::{
    config::{Role, Settings},
    http::{
        self, AppState,
        address_rates::{AddressRates, limited},
    },
    jobs::{
        Deliveries, Figures, FleetFindings, ForgetAnswers, ForgetEvents, ForgetHistory, ForgetIdentities,
        ForgetJudgements, Horizons, OverdueCommands, Reconciler, RepositoryFreshness, Runner, SilentPlugins,
        TelemetryPartitions, TidyWebhooks,
    },
    lifecycle::Lifecycle,
    notify::Sender,
    repo::{OnlineKeys, PublicKeys, Repository},
    service::{
        Entropy,
        command::Polls,
        deliver::Deliverer,
        events::Events,
        ingest::{self, IngestOptions},
        secret::SecretHasher,
        secret_box::SecretBox,
        webhook::WebhookDesk,
    },
    store::{Db, DbOptions},
};

/// How many long polls one process holds: 28 kB a connection, so about 1.4 GB at most.
const MAX_POLLS: usize = 50_000;

pub use audit::key as audit_key;
pub use gateway::init_ca;
pub use staging::{serve_runner, staging_client};

/// What agents are enrolled with: SHA-256 of the CA that they check the gateway against.
///
/// # Errors
/// When there is no CA.
pub fn ca_fingerprint(settings: &Settings) -> anyhow::Result<plugmend_shared::ids::Digest> {
    gateway::ca_sha256(settings)
}

/// Runs the roles until told to stop.
///
/// # Errors
/// When something can not be started, or a task died.
pub fn serve(settings: &Settings, roles: &[Role], migrate: bool) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let db = open(settings)?;
        if migrate {
            db.migrate().await?;
        }
        let mut lifecycle = Lifecycle::new();
        let mut settings = settings.clone();
        if roles.contains(&Role::Worker) && roles.contains(&Role::Api) {
            staging::start_along(&mut settings, &mut lifecycle)?;
        }
        start(&settings, roles, &db, &mut lifecycle)?;
        let ended = lifecycle.run().await;
        db.close().await;
        ended
    })
}

/// Brings the database up to date.
///
/// # Errors
/// When it is not reachable or a migration fails.
pub fn migrate(settings: &Settings) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let db = open(settings)?;
        db.migrate().await?;
        tracing::info!("the database is up to date");
        db.close().await;
        Ok(())
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can not start the runtime")
}

fn open(settings: &Settings) -> anyhow::Result<Db> {
    Ok(Db::open(&DbOptions {
        url: settings.database.url.clone(),
        max_connections: settings.database.max_connections,
    })?)
}

fn start(settings: &Settings, roles: &[Role], db: &Db, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
    http::metrics::install()?;
    let mut stop = lifecycle.stop();
    lifecycle.spawn("metrics", async move {
        tokio::select! {
            () = http::metrics::keep_small() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok(())
    });
    let state = state(settings, roles, db, lifecycle)?;
    if roles.contains(&Role::Worker) {
        start_jobs(settings, &state, lifecycle);
        healing::start(settings, &state, lifecycle)?;
        audit::start_sealing(settings, &state, lifecycle)?;
    }
    if roles.contains(&Role::Gateway) {
        audit::start_witnessing(&state, lifecycle);
        gateway::start(settings, bind(settings.gateway.listen)?, &state, lifecycle)?;
    }
    if roles.contains(&Role::Api) {
        let listener = bind(settings.api.listen)?;
        tracing::info!(address = %listener.local_addr()?, "the API listens");
        let router = match &settings.staging.token {
            Some(token) => http::api_router_with_repository(state, token)?,
            None => http::api_router(state)?,
        };
        let router = http::with_console(router, settings.sign_in.clone());
        let router = limited(router, Arc::new(address_rates(settings)));
        lifecycle.spawn("api", http::serve_plain(listener, router, lifecycle.stop()));
    }
    Ok(())
}

fn address_rates(settings: &Settings) -> AddressRates {
    let per_second = NonZeroU32::new(settings.api.per_second).unwrap_or(NonZeroU32::MIN);
    let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(9));
    AddressRates::new(per_second, burst, settings.api.trusted_proxies.clone())
}

/// The reconcilers, each a task of its own.
fn start_jobs(settings: &Settings, state: &AppState, lifecycle: &mut Lifecycle) {
    let (db, keep) = (&state.db, settings.retention);
    let deliverer = Deliverer::new(
        db.clone(),
        state.webhooks.sender.clone(),
        state.webhooks.secrets.clone(),
        state.entropy.clone(),
        Arc::clone(&state.clock),
    );
    let reconcilers: Vec<Arc<dyn Reconciler>> = vec![
        Arc::new(Deliveries::new(deliverer.clone())),
        Arc::new(TidyWebhooks::new(db.clone(), deliverer, keep.events_days)),
        Arc::new(OverdueCommands::new(db.clone(), state.entropy.clone())),
        Arc::new(TelemetryPartitions::new(db.clone(), settings.telemetry_days)),
        Arc::new(RepositoryFreshness::new(db.clone(), state.repo.clone())),
        Arc::new(ForgetAnswers::new(db.clone())),
        Arc::new(ForgetJudgements::new(db.clone())),
        Arc::new(ForgetHistory::new(
            db.clone(),
            Horizons::of_days(keep.incidents_days, keep.commands_days),
        )),
        Arc::new(ForgetEvents::new(db.clone())),
        Arc::new(Figures::new(db.clone())),
        Arc::new(SilentPlugins::new(db.clone())),
        Arc::new(FleetFindings::new(db.clone())),
        Arc::new(ForgetIdentities::new(db.clone(), settings.gateway.certificate_grace)),
    ];
    for reconciler in reconcilers {
        run_reconciler(reconciler, state, lifecycle);
    }
}

fn run_reconciler(reconciler: Arc<dyn Reconciler>, state: &AppState, lifecycle: &mut Lifecycle) {
    let runner = Runner::new(reconciler, Arc::clone(&state.clock));
    let (name, stop) = (runner.name(), lifecycle.stop());
    lifecycle.spawn(name, async {
        runner.run(stop).await;
        Ok(())
    });
}

/// What handlers share, with the tasks behind it.
fn state(settings: &Settings, roles: &[Role], db: &Db, lifecycle: &mut Lifecycle) -> anyhow::Result<AppState> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tokens = issuer::tokens(&settings.auth.issuer, &clock, lifecycle)?;
    let (ingest, flushers) = ingest::start(
        db,
        &clock,
        IngestOptions {
            flushers: settings.ingest.flushers,
            batch: settings.ingest.batch,
            delay: settings.ingest.delay,
            queue: settings.ingest.queue,
        },
    );
    for flusher in flushers {
        // They end when the last handler is gone, so that what was taken is committed; in a process without handlers
        // that is at once, which is no reason to stop.
        let mut stop = lifecycle.stop();
        lifecycle.spawn("ingest", async move {
            flusher.await;
            let _asked_or_gone = stop.wait_for(|stop| *stop).await;
            Ok(())
        });
    }
    let polls = Polls::new(db.clone(), Arc::clone(&clock), MAX_POLLS, lifecycle.stop());
    let listening = polls.clone().listen();
    lifecycle.spawn("wake-ups", async {
        listening.await;
        Ok(())
    });
    let events = Events::new(db.clone(), lifecycle.stop());
    if roles.contains(&Role::Api) {
        let following = events.clone().follow();
        lifecycle.spawn("events", async {
            following.await;
            Ok(())
        });
    }
    Ok(AppState {
        db: db.clone(),
        clock,
        entropy: Entropy::new(),
        tokens: Arc::new(tokens),
        enrolment_tokens: gateway::token_desk(settings, roles)?,
        secrets: SecretHasher::new(&settings.auth.secret_key),
        audit: audit::newest(settings, roles)?,
        webhooks: webhooks(settings)?,
        ingest,
        polls,
        events,
        metrics_token: settings.api.metrics_token.clone(),
        repo: repository(settings)?,
        heartbeat_interval_s: settings.heartbeat_interval_s,
    })
}

/// What receivers of webhooks are checked and sealed by.
fn webhooks(settings: &Settings) -> anyhow::Result<WebhookDesk> {
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("can not read {}", path.display()));
    let ca = settings.webhooks.ca_file.as_ref().map(read).transpose()?;
    Ok(WebhookDesk {
        secrets: SecretBox::new(&settings.auth.secret_key)?,
        sender: Sender::new(settings.webhooks.networks.clone(), ca.as_deref())?,
    })
}

/// The release repository, with its online keys, which are made when there are none.
fn repository(settings: &Settings) -> anyhow::Result<Repository> {
    let keys = OnlineKeys::load_or_make(&settings.repository.keys_dir, &SystemRandom::new())?;
    match &settings.repository.url {
        Some(url) => Ok(Repository::open_url(url, keys)?),
        None => Ok(Repository::open(&settings.repository.dir, keys)?),
    }
}

/// The public halves of the repository's online keys, as `plugmend release init` takes them.
///
/// # Errors
/// When the keys can not be read or made.
pub fn repository_keys(settings: &Settings) -> anyhow::Result<PublicKeys> {
    Ok(OnlineKeys::load_or_make(&settings.repository.keys_dir, &SystemRandom::new())?.public())
}

fn bind(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("can not listen on {address}"))?;
    listener.set_nonblocking(true).context("can not prepare the listener")?;
    Ok(listener)
}
