//! The checked settings.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use plugmend_shared::protocol::DEFAULT_HEARTBEAT_SECONDS;
use secrecy::SecretString;

use super::{
    ConfigError, dev,
    gateway::{self, GatewaySettings},
    issuer::IssuerSettings,
    raw::{Raw, RawApi, RawIngest, RawRepository},
    retention::RetentionSettings,
    sira::SiraSettings,
    staging::{self, StagingSettings},
};
use crate::{
    domain::network::{Network, NotANetwork},
    http::console::SignIn,
};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Serves the agents (mutual TLS, 8443).
    Gateway,
    /// Serves people and agentless plugins (8112).
    Api,
    /// Runs the reconcilers.
    Worker,
    /// Tries releases out (9000): a process of its own, under its own user.
    StagingRunner,
}

/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether missing secrets were made here.
    pub dev: bool,
    /// Where keys and the release repository lie unless told otherwise.
    pub state_dir: PathBuf,
    /// What the log shows.
    pub log: LogSettings,
    /// Postgres.
    pub database: DatabaseSettings,
    /// The API.
    pub api: ApiSettings,
    /// Where people sign in to the console; none: by a token that they bring.
    pub sign_in: Option<SignIn>,
    /// The agents' gateway.
    pub gateway: GatewaySettings,
    /// The release repository.
    pub repository: RepositorySettings,
    /// Who may do what.
    pub auth: AuthSettings,
    /// The external SIRA, when there is one.
    pub sira: Option<SiraSettings>,
    /// Group commit.
    pub ingest: IngestSettings,
    /// Webhooks.
    pub webhooks: WebhookSettings,
    /// The staging runner, as it is called.
    pub staging: StagingSettings,
    /// The key of the audit trail's checkpoints, and the file of checkpoints.
    pub audit_dir: PathBuf,
    /// Seconds between heartbeats, told to agents.
    pub heartbeat_interval_s: u32,
    /// How many days telemetry is kept.
    pub telemetry_days: u16,
    /// What is kept beside it, and for how long.
    pub retention: RetentionSettings,
}

/// What the log shows.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A level, or `target=level,...`.
    pub level: String,
    /// One JSON object a line.
    pub json: bool,
}

/// Postgres.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where it is; holds a password.
    pub url: SecretString,
    /// The most connections this process opens.
    pub max_connections: u32,
}

/// The API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Proxies that are believed when they say whom they speak for.
    pub trusted_proxies: Vec<Network>,
    /// Requests a second of one address, on average; ten times as many at once.
    pub per_second: u32,
    /// What `/metrics` is shown for; none: on this machine alone.
    pub metrics_token: Option<SecretString>,
}

/// The release repository.
#[derive(Debug, Clone)]
pub struct RepositorySettings {
    /// Metadata and targets.
    pub dir: PathBuf,
    /// The same in object storage, which goes before.
    pub url: Option<String>,
    /// The online keys of snapshot and timestamp.
    pub keys_dir: PathBuf,
}

/// Who may do what.
#[derive(Clone)]
pub struct AuthSettings {
    /// How people's tokens are checked.
    pub issuer: IssuerSettings,
    /// Keys the hashes of plugin secrets.
    pub secret_key: zeroize::Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSettings").finish_non_exhaustive()
    }
}

/// Webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Networks of our own that may be sent to.
    pub networks: Vec<Network>,
    /// Authorities to trust beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Group commit.
#[derive(Debug, Clone, Copy)]
pub struct IngestSettings {
    /// How many transactions may be under way at once.
    pub flushers: usize,
    /// How many heartbeats go into one at most.
    pub batch: usize,
    /// How long the first of a batch waits for others.
    pub delay: Duration,
    /// How many heartbeats may wait; more are answered 503.
    pub queue: usize,
}

const DEV_DATABASE: &str = "postgres://postgres@127.0.0.1:5432/plugmend";

/// Checks the merged layers.
pub fn check(raw: Raw, dev: bool) -> Result<Settings, ConfigError> {
    let state_dir = raw.state_dir.unwrap_or_else(|| {
        PathBuf::from(if dev {
            ".plugmend/control-plane"
        } else {
            "/var/lib/plugmend-control-plane"
        })
    });
    let dev_dir = dev.then_some(state_dir.as_path());
    let auth = check_auth(
        raw.molam_id.check(raw.jwt_public, dev_dir)?,
        raw.secret_key,
        raw.secret_key_file,
        dev_dir,
    )?;
    let url = match raw.database_url {
        Some(url) => url,
        None if dev => DEV_DATABASE.to_owned(),
        None => {
            return Err(ConfigError::Missing {
                name: "DATABASE_URL",
                hint: "postgres://user@host/database",
            });
        }
    };
    let max_connections = raw.database_max_connections.unwrap_or(16);
    in_range("DATABASE_MAX_CONNECTIONS", max_connections.into(), 4, 1000)?;
    let heartbeat_interval_s = raw.heartbeat_interval_s.unwrap_or(DEFAULT_HEARTBEAT_SECONDS);
    in_range("PLUGMEND_HEARTBEAT_S", heartbeat_interval_s.into(), 1, 3600)?;
    let telemetry_days = raw.telemetry_days.unwrap_or(35);
    in_range("PLUGMEND_TELEMETRY_DAYS", telemetry_days.into(), 8, 3650)?;
    Ok(Settings {
        dev,
        log: LogSettings {
            level: raw.log_level.unwrap_or_else(|| "info".to_owned()),
            json: raw.log_format.is_some_and(|format| format == "json"),
        },
        database: DatabaseSettings {
            url: url.into(),
            max_connections,
        },
        api: check_api(raw.api)?,
        sign_in: raw.console.check(dev)?,
        gateway: gateway::check(raw.gateway, &state_dir, dev)?,
        repository: check_repository(raw.repository, &state_dir),
        auth,
        sira: raw.sira.check(dev)?,
        ingest: check_ingest(&raw.ingest)?,
        audit_dir: raw.audit_dir.unwrap_or_else(|| state_dir.join("audit")),
        webhooks: WebhookSettings {
            networks: networks("PLUGMEND_WEBHOOK_NETWORKS", raw.webhooks.networks)?,
            ca_file: raw.webhooks.ca_file,
        },
        staging: staging::check(raw.staging)?,
        heartbeat_interval_s,
        telemetry_days,
        retention: raw.retention.check()?,
        state_dir,
    })
}

fn check_auth(
    issuer: IssuerSettings,
    secret_key: Option<String>,
    secret_key_file: Option<PathBuf>,
    dev_dir: Option<&Path>,
) -> Result<AuthSettings, ConfigError> {
    let hex_key = match (secret_key, secret_key_file, dev_dir) {
        (Some(key), _, _) => key,
        (None, Some(path), _) => {
            std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path, source })?
        }
        (None, None, Some(dir)) => dev::secret_key_hex(dir)?,
        (None, None, None) => {
            return Err(ConfigError::Missing {
                name: "PLUGMEND_SECRET_KEY",
                hint: "64 random hexadecimal digits (openssl rand -hex 32), or their file in PLUGMEND_SECRET_KEY_FILE",
            });
        }
    };
    let mut secret_key = zeroize::Zeroizing::new([0; 32]);
    hex::decode_to_slice(hex_key.trim(), &mut *secret_key).map_err(|_| ConfigError::Invalid {
        name: "PLUGMEND_SECRET_KEY",
        why: "64 hexadecimal digits are wanted".to_owned(),
    })?;
    Ok(AuthSettings { issuer, secret_key })
}

fn check_api(raw: RawApi) -> Result<ApiSettings, ConfigError> {
    let bind = match raw.bind {
        Some(text) => text.parse().map_err(|_| ConfigError::Invalid {
            name: "PLUGMEND_API_BIND",
            why: format!("'{text}' is not an IP address"),
        })?,
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let per_second = raw.per_second.unwrap_or(200);
    in_range("PLUGMEND_API_PER_SECOND", per_second.into(), 1, 1_000_000)?;
    Ok(ApiSettings {
        listen: SocketAddr::new(bind, raw.port.unwrap_or(8112)),
        trusted_proxies: networks("PLUGMEND_TRUSTED_PROXIES", raw.trusted_proxies)?,
        per_second,
        metrics_token: raw.metrics_token.map(metrics_token).transpose()?,
    })
}

/// Tokens that can be guessed are none.
fn metrics_token(token: String) -> Result<SecretString, ConfigError> {
    if token.len() < 16 {
        return Err(ConfigError::Invalid {
            name: "PLUGMEND_METRICS_TOKEN",
            why: "it has fewer than 16 characters; openssl rand -hex 32 makes a good one".to_owned(),
        });
    }
    Ok(token.into())
}

fn networks(name: &'static str, list: Option<Vec<String>>) -> Result<Vec<Network>, ConfigError> {
    let parse = |text: String| {
        text.parse().map_err(|error: NotANetwork| ConfigError::Invalid {
            name,
            why: error.to_string(),
        })
    };
    list.unwrap_or_default().into_iter().map(parse).collect()
}

fn check_repository(raw: RawRepository, state_dir: &std::path::Path) -> RepositorySettings {
    RepositorySettings {
        dir: raw.dir.unwrap_or_else(|| state_dir.join("repository")),
        url: raw.url,
        keys_dir: raw.keys_dir.unwrap_or_else(|| state_dir.join("repository-keys")),
    }
}

fn check_ingest(raw: &RawIngest) -> Result<IngestSettings, ConfigError> {
    let settings = IngestSettings {
        flushers: raw.flushers.unwrap_or(4),
        batch: raw.batch.unwrap_or(250),
        delay: Duration::from_millis(raw.delay_ms.unwrap_or(5)),
        queue: raw.queue.unwrap_or(4096),
    };
    in_range("PLUGMEND_INGEST_FLUSHERS", settings.flushers as u64, 1, 64)?;
    in_range("PLUGMEND_INGEST_BATCH", settings.batch as u64, 1, 5000)?;
    in_range("PLUGMEND_INGEST_DELAY_MS", raw.delay_ms.unwrap_or(5), 0, 1000)?;
    in_range("PLUGMEND_INGEST_QUEUE", settings.queue as u64, 1, 1_000_000)?;
    Ok(settings)
}

pub(super) fn in_range(name: &'static str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        name,
        why: format!("{value} is not within {least} to {most}"),
    })
}
