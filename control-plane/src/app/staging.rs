//! The staging runner: a process of its own, and with `--dev` a child of the control plane.

use std::{
    fs,
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use plugmend_sandbox::SandboxOptions;
use plugmend_shared::clock::SystemClock;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    config::{RootSettings, RunnerSettings, Settings, StagingSettings},
    http,
    lifecycle::{Lifecycle, Stop},
    outgoing::{Endpoint, HttpClient},
    staging::{
        StagingClient,
        runner::{Anchor, Runner, RunnerOptions, Source, guard},
    },
};

/// How long a run may take when its caller does not say.
const TIMEOUT: Duration = Duration::from_mins(5);
/// How often a child is looked after.
const LOOK: Duration = Duration::from_millis(250);
/// How long a child may take to end.
const END: Duration = Duration::from_secs(5);
/// Who the child is when its parent is root.
const NOBODY: u32 = 65_534;

/// The client of the runner; none where no runner is configured.
///
/// # Errors
/// The settings can not be used.
pub fn staging_client(settings: &StagingSettings) -> anyhow::Result<Option<StagingClient>> {
    let (Some(url), Some(token)) = (&settings.url, &settings.token) else {
        return Ok(None);
    };
    Ok(Some(StagingClient::new(
        client(settings.ca_file.as_ref())?,
        url,
        token.clone(),
    )?))
}

fn client(ca_file: Option<&PathBuf>) -> anyhow::Result<HttpClient> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("can not read {}", path.display()));
    let pem = ca_file.map(read).transpose()?;
    Ok(HttpClient::new(pem.as_deref())?)
}

/// Runs the staging runner until told to stop.
///
/// # Errors
/// It could read a key, tests can not be confined, or something can not be started.
pub fn serve_runner(settings: &RunnerSettings) -> anyhow::Result<()> {
    look_for_keys(settings)?;
    super::runtime()?.block_on(async {
        let runner = Arc::new(Runner::open(options(settings)?)?);
        let protection = runner.protection()?;
        tracing::info!(protection = protection.words(), "releases are tried out here");
        let listener = super::bind(settings.listen)?;
        tracing::info!(address = %listener.local_addr()?, "the staging runner listens");
        let router = http::staging_router(runner, Arc::new(SystemClock), &settings.token);
        let mut lifecycle = Lifecycle::new();
        let serving = http::serve_plain(listener, router, lifecycle.stop());
        lifecycle.spawn("staging runner", serving);
        lifecycle.run().await
    })
}

fn look_for_keys(settings: &RunnerSettings) -> anyhow::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let given = |name: &str| settings.given.contains(&name) || std::env::var_os(name).is_some();
    match guard::check(user, given, &settings.keys) {
        Ok(()) => Ok(()),
        // A developer has one user; what is tried out sees none of it in its namespaces.
        Err(guard::Exposed::Readable(path)) if settings.dev => {
            tracing::warn!(path = %path.display(), "the staging runner can read a key: only --dev starts it so");
            Ok(())
        }
        Err(exposed) => Err(exposed.into()),
    }
}

fn options(settings: &RunnerSettings) -> anyhow::Result<RunnerOptions> {
    let source = if settings.repository.contains("://") {
        Source::Http {
            client: client(settings.ca_file.as_ref())?,
            at: Endpoint::parse(&settings.repository).context("PLUGMEND_STAGING_REPOSITORY can not be used")?,
            token: Some(settings.token.clone()),
        }
    } else {
        Source::Folder(PathBuf::from(&settings.repository))
    };
    let own = std::env::current_exe().context("can not find this program's file")?;
    Ok(RunnerOptions {
        source,
        anchor: match &settings.root {
            RootSettings::File(path) => Anchor::File(path.clone()),
            RootSettings::Sha256(digest) => Anchor::Sha256(*digest),
            RootSettings::FirstSeen => Anchor::FirstSeen,
        },
        state: settings.state_dir.clone(),
        sandbox: SandboxOptions {
            helper: vec![own.display().to_string()],
            read: settings.read.clone(),
            ..SandboxOptions::default()
        },
        slots: settings.slots,
        waiting: settings.queue,
        timeout: TIMEOUT,
    })
}

/// With `--dev` and no runner configured: starts one, as nobody where we are root, and says in `settings` where it is.
///
/// # Errors
/// It can not be prepared.
pub(super) fn start_along(settings: &mut Settings, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
    if !settings.dev || settings.staging.url.is_some() {
        return Ok(());
    }
    let mut random = [0; 32];
    if SystemRandom::new().fill(&mut random).is_err() {
        bail!("the system gives no randomness");
    }
    let token = SecretString::from(hex::encode(random));
    // Taken and let go of: on a developer's machine nobody else takes it in between.
    let port = super::bind(([127, 0, 0, 1], 0).into())?.local_addr()?.port();
    let root = rustix::process::geteuid().is_root();
    let state = std::env::temp_dir().join(format!("plugmend-staging-{}", std::process::id()));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&state)
        .with_context(|| format!("can not make {}", state.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--dev", "serve", "--roles", "staging-runner"])
        .env_clear()
        .envs(
            ["PATH", "TMPDIR"]
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .env("LOG_LEVEL", &settings.log.level)
        .env("LOG_FORMAT", if settings.log.json { "json" } else { "text" })
        .env("STAGING_RUNNER_TOKEN", token.expose_secret())
        .env("PLUGMEND_STATE_DIR", std::path::absolute(&settings.state_dir)?)
        .env("PLUGMEND_STAGING_BIND", format!("127.0.0.1:{port}"))
        .env(
            "PLUGMEND_STAGING_REPOSITORY",
            format!("http://127.0.0.1:{}/repo", settings.api.listen.port()),
        )
        .env("PLUGMEND_STAGING_STATE_DIR", &state)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if root {
        std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY))?;
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(%error, "the staging runner can not be started: releases are not tried out");
            return Ok(());
        }
    };
    settings.staging.url = Some(format!("http://127.0.0.1:{port}"));
    settings.staging.token = Some(token);
    let stop = lifecycle.stop();
    lifecycle.spawn("staging runner", look_after(child, state, stop));
    Ok(())
}

/// Until we are to stop: then it is asked to end, and made to.
async fn look_after(mut child: Child, state: PathBuf, mut stop: Stop) -> anyhow::Result<()> {
    let ended_by_itself = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => break None,
        }
    };
    if ended_by_itself.is_none() {
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended in this instant.
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = std::time::Instant::now();
        while child.try_wait()?.is_none() && asked.elapsed() < END {
            tokio::time::sleep(LOOK).await;
        }
        let _ = child.kill();
        child.wait()?;
    }
    if let Err(error) = fs::remove_dir_all(&state) {
        tracing::warn!(%error, folder = %state.display(), "the staging runner's folder is left");
    }
    if let Some(status) = ended_by_itself {
        // It has said why. Everything else goes on; who asks it learns that it is not there.
        tracing::error!(%status, "the staging runner ended by itself: releases are not tried out any more");
        let _asked_or_gone = stop.wait_for(|stop| *stop).await;
    }
    Ok(())
}
