//! Validated settings.

use std::{
    net::SocketAddr,
    path::{Component, Path, PathBuf},
};

use plugmend_shared::{
    ids::{Digest, Product},
    protocol::DEFAULT_HEARTBEAT_SECONDS,
};

use super::{ConfigError, file};

/// What an agent can look after (`merchant_plugins.cms`).
const CMS: [&str; 8] = [
    "woocommerce",
    "shopify",
    "magento",
    "prestashop",
    "wix",
    "node",
    "php",
    "python",
];
/// The longest path of a Unix socket that still leaves room for `.dgram` (`sun_path`, unix(7)).
const MAX_SOCKET_PATH: usize = 101;
/// The most words of a command, and the most bytes of each.
const MAX_ARGV: usize = 64;
const MAX_WORD: usize = 4096;
/// The most probes.
const MAX_PROBES: usize = 16;
const DEFAULT_PROBE_MS: u64 = 5_000;
const MAX_PROBE_MS: u64 = 60_000;

/// Everything that the agent was told by its host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ledger, store, identity and trusted metadata lie here.
    pub state_dir: PathBuf,
    /// `https://host:port` of the control plane's gateway.
    pub url: String,
    /// How the gateway proves itself at enrolment.
    pub ca: Pin,
    /// Where trust in releases begins.
    pub root: Pin,
    /// What it looks after.
    pub plugin: Plugin,
    /// Where it listens.
    pub telemetry: Telemetry,
    /// What the host runs around a change.
    pub hooks: Hooks,
    /// What shows that the plugin works.
    pub probes: Vec<Probe>,
}

/// Something to trust: a file, or the digest that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// This file.
    File(PathBuf),
    /// Whatever has this SHA-256.
    Sha256(Digest),
}

/// The plugin.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its product.
    pub product: Product,
    /// The platform it runs on.
    pub cms: String,
    /// Where it lies.
    pub path: PathBuf,
    /// How it is swapped.
    pub layout: Layout,
    /// The version of a directory that was there before the agent, when it can not be read from it.
    pub version: Option<semver::Version>,
}

/// How a plugin is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A loader reads one pointer file.
    Stub,
    /// Two real directories change places.
    Exchange,
    /// A symbolic link is flipped.
    Symlink,
}

impl Layout {
    /// Its name in the configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Exchange => "exchange",
            Self::Symlink => "symlink",
        }
    }
}

/// Where the agent listens.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// The Unix socket for JSON lines; datagrams go to the one beside it with `.dgram` appended.
    pub socket: Option<PathBuf>,
    /// The group that may use it, by name or number.
    pub group: Option<String>,
    /// Users that may use it, by number.
    pub users: Vec<u32>,
    /// UDP on loopback.
    pub udp: Option<SocketAddr>,
    /// NDJSON files.
    pub spool_dir: Option<PathBuf>,
    /// Seconds between heartbeats until the control plane says otherwise.
    pub heartbeat_interval_s: u32,
}

/// What the host runs around a change. Argument lists: nothing goes through a shell.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Makes running processes take up the new code.
    pub reload: Option<Vec<String>>,
    /// Saves the data before a change that the code alone can not undo.
    pub snapshot: Option<Vec<String>>,
    /// Clears the platform's caches.
    pub cache_clear: Option<Vec<String>>,
    /// PHP-FPM's socket, to reset its OPcache: `unix:/path` or `host:port`.
    pub opcache_fastcgi: Option<String>,
}

/// What shows that the plugin works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A request that must be answered with `status`, and with a body that contains `contains`, where `{version}`
    /// stands for the installed version.
    Http {
        /// The URL: plain HTTP.
        url: String,
        /// The status wanted.
        status: u16,
        /// The text wanted.
        contains: Option<String>,
        /// The longest it may take, in ms.
        timeout_ms: u64,
    },
    /// A command that must end with 0.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// The longest it may take, in ms.
        timeout_ms: u64,
    },
}

pub(super) fn validate(file: file::File) -> Result<Settings, ConfigError> {
    let state_dir = absolute("state_dir", file.state_dir)?;
    let plugin = plugin(file.plugin)?;
    if state_dir.starts_with(&plugin.path) {
        return invalid(
            "state_dir",
            "must not lie inside plugin.path, which is replaced with every update",
        );
    }
    if file.probes.len() > MAX_PROBES {
        return invalid("probes", format!("at most {MAX_PROBES} are run"));
    }
    Ok(Settings {
        url: url(file.control_plane.url)?,
        ca: pin(
            "control_plane.ca_file",
            file.control_plane.ca_file,
            file.control_plane.ca_sha256.as_deref(),
        )?,
        root: pin(
            "trust.root_file",
            file.trust.root_file,
            file.trust.root_sha256.as_deref(),
        )?,
        telemetry: telemetry(file.telemetry)?,
        hooks: hooks(file.hooks)?,
        probes: file.probes.into_iter().map(probe).collect::<Result<_, _>>()?,
        state_dir,
        plugin,
    })
}

fn plugin(plugin: file::Plugin) -> Result<Plugin, ConfigError> {
    let product = plugin.product.parse().map_err(|error| wrong("plugin.product", error))?;
    if !CMS.contains(&plugin.cms.as_str()) {
        return invalid(
            "plugin.cms",
            format!("'{}' is not one of {}", plugin.cms, CMS.join(", ")),
        );
    }
    let layout = match plugin.layout.as_str() {
        "stub" => Layout::Stub,
        "exchange" => Layout::Exchange,
        "symlink" => Layout::Symlink,
        other => {
            return invalid(
                "plugin.layout",
                format!("'{other}' is not one of stub, exchange, symlink"),
            );
        }
    };
    let path = absolute("plugin.path", plugin.path)?;
    if path.parent().is_none_or(|parent| parent.parent().is_none()) {
        return invalid(
            "plugin.path",
            "is too near to the root of the file system to be a plugin",
        );
    }
    let version = plugin.version.map(|text| semver::Version::parse(&text)).transpose();
    Ok(Plugin {
        product,
        cms: plugin.cms,
        path,
        layout,
        version: version.map_err(|error| wrong("plugin.version", error))?,
    })
}

fn telemetry(telemetry: file::Telemetry) -> Result<Telemetry, ConfigError> {
    let socket = telemetry
        .socket
        .map(|path| absolute("telemetry.socket", path))
        .transpose()?;
    if socket
        .as_ref()
        .is_some_and(|path| path.as_os_str().len() > MAX_SOCKET_PATH)
    {
        return invalid(
            "telemetry.socket",
            format!("is longer than {MAX_SOCKET_PATH} bytes, which no socket can be"),
        );
    }
    let udp = match telemetry.udp {
        None => None,
        Some(text) => match text.parse::<SocketAddr>() {
            Ok(addr) if addr.ip().is_loopback() => Some(addr),
            _ => {
                return invalid(
                    "telemetry.udp",
                    format!("'{text}' is not an address on loopback such as 127.0.0.1:8125"),
                );
            }
        },
    };
    let spool_dir = telemetry
        .spool_dir
        .map(|path| absolute("telemetry.spool_dir", path))
        .transpose()?;
    Ok(Telemetry {
        socket,
        group: telemetry.group,
        users: telemetry.users,
        udp,
        spool_dir,
        heartbeat_interval_s: telemetry.heartbeat_interval_s.unwrap_or(DEFAULT_HEARTBEAT_SECONDS),
    })
}

fn hooks(hooks: file::Hooks) -> Result<Hooks, ConfigError> {
    let fastcgi = hooks.opcache_fastcgi;
    if let Some(text) = &fastcgi {
        let fine = text
            .strip_prefix("unix:")
            .is_some_and(|path| Path::new(path).is_absolute())
            || text.parse::<SocketAddr>().is_ok_and(|addr| addr.ip().is_loopback());
        if !fine {
            return invalid(
                "hooks.opcache_fastcgi",
                "write unix:/path/of/the.sock or 127.0.0.1:9000",
            );
        }
    }
    Ok(Hooks {
        reload: hooks.reload.map(|argv| words("hooks.reload", argv)).transpose()?,
        snapshot: hooks.snapshot.map(|argv| words("hooks.snapshot", argv)).transpose()?,
        cache_clear: hooks
            .cache_clear
            .map(|argv| words("hooks.cache_clear", argv))
            .transpose()?,
        opcache_fastcgi: fastcgi,
    })
}

fn probe(probe: file::Probe) -> Result<Probe, ConfigError> {
    let timeout_ms = probe.timeout_ms.unwrap_or(DEFAULT_PROBE_MS).clamp(1, MAX_PROBE_MS);
    match (probe.http, probe.argv) {
        (Some(url), None) if url.starts_with("http://") => Ok(Probe::Http {
            url,
            status: probe.status.unwrap_or(200),
            contains: probe.contains,
            timeout_ms,
        }),
        (Some(url), None) => invalid(
            "probes",
            format!("'{url}' is not an http:// address: probes go to this host, past caches and proxies"),
        ),
        (None, Some(argv)) if probe.status.is_none() && probe.contains.is_none() => Ok(Probe::Command {
            argv: words("probes", argv)?,
            timeout_ms,
        }),
        _ => invalid(
            "probes",
            "each has either http (with status and contains, if wanted) or argv",
        ),
    }
}

fn words(key: &'static str, argv: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let fine = (1..=MAX_ARGV).contains(&argv.len())
        && argv.iter().all(|word| word.len() <= MAX_WORD && !word.contains('\0'))
        && !argv.iter().take(1).any(String::is_empty);
    if fine {
        Ok(argv)
    } else {
        invalid(key, "a list of a program and its arguments is wanted, not a shell line")
    }
}

fn url(url: String) -> Result<String, ConfigError> {
    let host = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => invalid(
            "control_plane.url",
            format!("'{url}' is not of the form https://host:port"),
        ),
    }
}

fn pin(key: &'static str, file: Option<PathBuf>, sha256: Option<&str>) -> Result<Pin, ConfigError> {
    match (file, sha256) {
        (Some(path), None) => Ok(Pin::File(absolute(key, path)?)),
        (None, Some(digest)) => {
            let digest = digest.trim().to_ascii_lowercase().replace(':', "");
            digest.parse().map(Pin::Sha256).map_err(|error| wrong(key, error))
        }
        _ => invalid(
            key,
            "say either the file or, with the same name ending in sha256, its fingerprint",
        ),
    }
}

fn absolute(key: &'static str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    let plain = path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if plain {
        Ok(path.components().collect())
    } else {
        invalid(
            key,
            format!("'{}' is not an absolute path without '..'", path.display()),
        )
    }
}

fn invalid<T>(key: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid {
        key,
        problem: problem.into(),
    })
}

fn wrong(key: &'static str, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Invalid {
        key,
        problem: error.to_string(),
    }
}
