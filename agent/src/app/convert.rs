//! From what the host configured to what each floor wants to know.

use std::{collections::BTreeMap, env, fs, io, io::Read as _, path::Path};

use plugmend_shared::{ids::MerchantId, tuf::Limits};

use super::AppError;
use crate::{
    config::{Ask, Hooks, Layout, Pin, Probe, Settings, Telemetry},
    domain::installed::LayoutKind,
    engine::EngineOptions,
    ingest::{IngestOptions, group_id},
    platform::{self, fastcgi::Pool, sandbox::SandboxOptions},
    tasks::status::Place,
    upstream::repo::{RepositoryOptions, TrustAnchor},
};

/// The longest root of trust, in bytes.
const MAX_ROOT: u64 = 512 * 1024;

pub(super) fn ingest(telemetry: &Telemetry) -> Result<IngestOptions, AppError> {
    let group = match &telemetry.group {
        Some(name) => Some(group_id(name).ok_or_else(|| AppError::NoSuchGroup(name.clone()))?),
        None => None,
    };
    Ok(IngestOptions {
        socket: telemetry.socket.clone(),
        group,
        users: telemetry.users.clone(),
        udp: telemetry.udp,
        spool_dir: telemetry.spool_dir.clone(),
    })
}

/// What `status` says of the place, also when no agent runs.
pub fn place(settings: &Settings) -> Place {
    Place {
        product: settings.plugin.product.clone(),
        path: settings.plugin.path.clone(),
        layout: settings.plugin.layout.as_str(),
        control_plane: settings.url.clone(),
    }
}

pub(super) fn repository(settings: &Settings) -> Result<RepositoryOptions, AppError> {
    let folder = settings.state_dir.join("trusted");
    let anchor = match &settings.root {
        Pin::Sha256(digest) => TrustAnchor::Sha256(*digest),
        Pin::File(path) => match read_root(path) {
            Ok(root) => TrustAnchor::Root(root),
            // It is needed once; later it only helps where root keys were lost.
            Err(error) if folder.join("root.json").exists() => {
                tracing::warn!(
                    "{} can not be read ({error}); the root that is trusted already is used",
                    path.display()
                );
                TrustAnchor::Stored
            }
            Err(error) => return Err(AppError::Root(path.clone(), error)),
        },
    };
    Ok(RepositoryOptions {
        folder,
        anchor,
        product: settings.plugin.product.clone(),
        limits: Limits::default(),
    })
}

fn read_root(path: &Path) -> io::Result<Vec<u8>> {
    let mut root = Vec::new();
    fs::File::open(path)?.take(MAX_ROOT).read_to_end(&mut root)?;
    Ok(root)
}

pub(super) fn engine(
    settings: &Settings,
    merchant: Option<MerchantId>,
    mut env: BTreeMap<String, String>,
) -> Result<EngineOptions, AppError> {
    let plugin = &settings.plugin;
    env.extend(plugin.env.clone());
    let agent_version = semver::Version::parse(env!("CARGO_PKG_VERSION"));
    Ok(EngineOptions {
        state_dir: settings.state_dir.clone(),
        plugin: plugin.path.clone(),
        product: plugin.product.clone(),
        merchant,
        layout: match plugin.layout {
            Layout::Stub => LayoutKind::Stub,
            Layout::Exchange => LayoutKind::Exchange,
            Layout::Symlink => LayoutKind::Symlink,
        },
        adopted_version: plugin.version.clone(),
        stub_entries: plugin.entries.clone(),
        preserve: plugin.preserve.clone(),
        env,
        host_env: plugin.env.clone(),
        agent_version: agent_version.map_err(|error| io::Error::other(error.to_string()))?,
        hooks: hooks(&settings.hooks),
        probes: settings.probes.iter().map(probe).collect::<Result<_, _>>()?,
        sandbox: sandbox(settings)?,
    })
}

pub(super) fn sandbox(settings: &Settings) -> Result<SandboxOptions, AppError> {
    Ok(SandboxOptions {
        helper: vec![env::current_exe()?.display().to_string()],
        read: settings.sandbox.read.clone(),
        accept_none: settings.sandbox.accept_none,
        ..SandboxOptions::default()
    })
}

fn hooks(hooks: &Hooks) -> platform::hooks::Hooks {
    platform::hooks::Hooks {
        reload: hooks.reload.clone(),
        snapshot: hooks.snapshot.clone(),
        cache_clear: hooks.cache_clear.clone(),
        opcache: hooks.opcache_fastcgi.as_deref().and_then(Pool::parse),
    }
}

fn probe(probe: &Probe) -> Result<platform::probe::Probe, AppError> {
    let ask = match &probe.ask {
        Ask::Http { url, status, host } => {
            platform::probe::Ask::http(url, *status, host.clone()).ok_or_else(|| AppError::Probe(url.clone()))?
        }
        Ask::Command(argv) => platform::probe::Ask::Program(argv.clone()),
    };
    Ok(platform::probe::Probe {
        ask,
        contains: probe.contains.clone(),
        fatal: probe.fatal,
    })
}
