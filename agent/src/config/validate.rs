//! From what is written to what is meant, or to what is wrong with it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Component, Path, PathBuf},
};

use plugmend_shared::{bundle::path::RelPath, protocol::DEFAULT_HEARTBEAT_SECONDS};

use super::{
    ConfigError, file,
    settings::{Ask, Hooks, Layout, Pin, Plugin, Probe, Sandbox, Settings, Telemetry},
};

/// What it may run on, at most.
const MAX_ENV: usize = 16;
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

pub(super) fn validate(file: file::File) -> Result<Settings, ConfigError> {
    let state_dir = absolute("state_dir", &file.state_dir)?;
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
        url: url(&file.control_plane.url)?,
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
        sandbox: Sandbox {
            read: folders("sandbox.read", file.sandbox.read)?,
            accept_none: file.sandbox.accept_none,
        },
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
    let path = absolute("plugin.path", &plugin.path)?;
    if path.parent().is_none_or(|parent| parent.parent().is_none()) {
        return invalid(
            "plugin.path",
            "is too near to the root of the file system to be a plugin",
        );
    }
    if layout != Layout::Stub && !plugin.entries.is_empty() {
        return invalid("plugin.entries", "only the layout stub has a loader in entry files");
    }
    let version = plugin.version.map(|text| semver::Version::parse(&text)).transpose();
    Ok(Plugin {
        product,
        cms: plugin.cms,
        path,
        layout,
        version: version.map_err(|error| wrong("plugin.version", error))?,
        entries: relative("plugin.entries", &plugin.entries)?,
        preserve: apart("plugin.preserve", relative("plugin.preserve", &plugin.preserve)?)?,
        env: env(plugin.env)?,
    })
}

/// Short names and values, and few: they travel with every heartbeat.
fn env(env: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ConfigError> {
    let plain = |text: &String| (1..=64).contains(&text.len()) && !text.chars().any(char::is_control);
    if env.len() > MAX_ENV || !env.iter().all(|(name, value)| plain(name) && plain(value)) {
        return invalid(
            "plugin.env",
            format!("takes at most {MAX_ENV} names, each with a value like \"8.2.7\", of at most 64 bytes"),
        );
    }
    Ok(env)
}

fn folders(key: &'static str, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, ConfigError> {
    paths.into_iter().map(|path| absolute(key, &path)).collect()
}

fn relative(key: &'static str, paths: &[String]) -> Result<Vec<RelPath>, ConfigError> {
    let paths: Result<_, _> = paths.iter().map(|path| RelPath::new(path)).collect();
    paths.map_err(|error| wrong(key, error))
}

/// Paths none of which lies within another.
fn apart(key: &'static str, paths: Vec<RelPath>) -> Result<Vec<RelPath>, ConfigError> {
    let nested = |(at, path): (usize, &RelPath)| {
        let others = paths.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, other)| other).any(|other| path.is_within(other))
    };
    if paths.iter().enumerate().any(nested) {
        return invalid(key, "names a path within another, or twice");
    }
    Ok(paths)
}

fn telemetry(telemetry: file::Telemetry) -> Result<Telemetry, ConfigError> {
    let socket = telemetry
        .socket
        .map(|path| absolute("telemetry.socket", &path))
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
        .map(|path| absolute("telemetry.spool_dir", &path))
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
    let ask = match (probe.http, probe.argv) {
        (Some(url), None) if url.starts_with("http://") => Ask::Http {
            url,
            status: probe.status.unwrap_or(200),
            host: probe.host,
        },
        (Some(url), None) => {
            let problem =
                format!("'{url}' is not an http:// address of this machine: probes go past caches and proxies");
            return invalid("probes", problem);
        }
        (None, Some(argv)) if probe.status.is_none() && probe.host.is_none() => Ask::Command(words("probes", argv)?),
        _ => {
            return invalid(
                "probes",
                "each has either http (with status and host, if wanted) or argv",
            );
        }
    };
    Ok(Probe {
        ask,
        contains: probe.contains,
        fatal: probe.fatal,
    })
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

fn url(url: &str) -> Result<String, ConfigError> {
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
        (Some(path), None) => Ok(Pin::File(absolute(key, &path)?)),
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

fn absolute(key: &'static str, path: &Path) -> Result<PathBuf, ConfigError> {
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
