//! The layers as they are written: everything optional, nothing checked but its type.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    ConfigError, console::RawConsole, issuer::RawIssuer, retention::RawRetention, sira::RawSira, staging::RawStaging,
};

/// The configuration file; each field can be overridden by the environment variable in its comment.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// `PLUGMEND_STATE_DIR`: where keys and the release repository lie unless told otherwise.
    pub state_dir: Option<PathBuf>,
    /// `LOG_LEVEL`.
    pub log_level: Option<String>,
    /// `LOG_FORMAT`: `json` or `text`.
    pub log_format: Option<String>,
    /// `DATABASE_URL`.
    pub database_url: Option<String>,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub database_max_connections: Option<u32>,
    /// `MOLAM_ID_JWT_PUBLIC`: PEM; line ends may be written as `\n`.
    pub jwt_public: Option<String>,
    /// The issuer of people's tokens.
    pub molam_id: RawIssuer,
    /// `PLUGMEND_SECRET_KEY`: 64 hexadecimal digits; keys the hashes of plugin secrets.
    pub secret_key: Option<String>,
    /// `PLUGMEND_SECRET_KEY_FILE`: a file that holds them.
    pub secret_key_file: Option<PathBuf>,
    /// `PLUGMEND_HEARTBEAT_S`: seconds between heartbeats, told to agents.
    pub heartbeat_interval_s: Option<u32>,
    /// `PLUGMEND_TELEMETRY_DAYS`: how long telemetry is kept.
    pub telemetry_days: Option<u16>,
    /// The API (8112).
    pub api: RawApi,
    /// The console.
    pub console: RawConsole,
    /// The agents' gateway (8443).
    pub gateway: RawGateway,
    /// The release repository.
    pub repository: RawRepository,
    /// The external SIRA.
    pub sira: RawSira,
    /// What is kept, and for how long.
    pub retention: RawRetention,
    /// Group commit.
    pub ingest: RawIngest,
    /// Webhooks.
    pub webhooks: RawWebhooks,
    /// The staging runner.
    pub staging: RawStaging,
    /// `PLUGMEND_AUDIT_DIR`: the key of the audit trail's checkpoints, and the file of checkpoints.
    pub audit_dir: Option<PathBuf>,
}

/// `[webhooks]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWebhooks {
    /// `PLUGMEND_WEBHOOK_NETWORKS`: networks of our own that may be sent to, comma between; others' private ones may not.
    pub networks: Option<Vec<String>>,
    /// `PLUGMEND_WEBHOOK_CA_FILE`: authorities to trust beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
}

/// `[api]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawApi {
    /// `PLUGMEND_API_BIND`: the address; all by default.
    pub bind: Option<String>,
    /// `PORT`.
    pub port: Option<u16>,
    /// `PLUGMEND_TRUSTED_PROXIES`: addresses and networks whose `X-Forwarded-For` is believed, comma between.
    pub trusted_proxies: Option<Vec<String>>,
    /// `PLUGMEND_API_PER_SECOND`: requests a second of one address, on average; ten times as many at once.
    pub per_second: Option<u32>,
    /// `PLUGMEND_METRICS_TOKEN`: what `/metrics` is shown for; without it, on this machine alone.
    pub metrics_token: Option<String>,
}

/// `[gateway]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGateway {
    /// `PLUGMEND_GATEWAY_BIND`: address and port.
    pub listen: Option<String>,
    /// `PLUGMEND_GATEWAY_NAMES`: DNS names and addresses that agents use for the gateway, comma between.
    pub names: Option<Vec<String>>,
    /// `PLUGMEND_TRUST_DOMAIN`: of the agents' names.
    pub trust_domain: Option<String>,
    /// `PLUGMEND_PKI_DIR`: the agents' CA.
    pub pki_dir: Option<PathBuf>,
    /// `PLUGMEND_CA_KEY`: the CA's key, PEM; line ends may be written as `\n`. Else it lies in the PKI folder.
    pub ca_key: Option<String>,
    /// `PLUGMEND_CA_KEY_FILE`: the file with it, mode 0600.
    pub ca_key_file: Option<PathBuf>,
    /// `PLUGMEND_GATEWAY_CERTIFICATE_FILE`: the gateway's own certificate and its chain; else the CA issues one.
    pub certificate_file: Option<PathBuf>,
    /// `PLUGMEND_GATEWAY_KEY_FILE`: its key, mode 0600.
    pub key_file: Option<PathBuf>,
    /// `PLUGMEND_GATEWAY_CA_FILE`: the CA that agents are to check it against.
    pub ca_file: Option<PathBuf>,
    /// `PLUGMEND_CERTIFICATE_LIFETIME_S`: of agents' certificates.
    pub certificate_lifetime_s: Option<u32>,
    /// `PLUGMEND_CERTIFICATE_GRACE_S`: how long after its end one may still be renewed.
    pub certificate_grace_s: Option<u32>,
    /// `PLUGMEND_IN_FLIGHT_S`: how long a request may have been under way when its sender was replaced; what comes
    /// later is taken for a second host.
    pub in_flight_s: Option<u32>,
}

/// `[repository]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRepository {
    /// `PLUGMEND_REPOSITORY_DIR`: metadata and targets.
    pub dir: Option<PathBuf>,
    /// `PLUGMEND_REPO_URL`: the same in object storage, `s3://bucket/folder`.
    pub url: Option<String>,
    /// `PLUGMEND_REPOSITORY_KEYS_DIR`: the online keys of snapshot and timestamp.
    pub keys_dir: Option<PathBuf>,
}

/// `[ingest]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawIngest {
    /// `PLUGMEND_INGEST_FLUSHERS`
    pub flushers: Option<usize>,
    /// `PLUGMEND_INGEST_BATCH`
    pub batch: Option<usize>,
    /// `PLUGMEND_INGEST_DELAY_MS`
    pub delay_ms: Option<u64>,
    /// `PLUGMEND_INGEST_QUEUE`
    pub queue: Option<usize>,
}

/// Reads the file's layer.
pub fn read_file(path: &Path) -> Result<Raw, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|source| ConfigError::Malformed {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

impl Raw {
    /// Lays the environment over the file. `lookup` gives a variable's value when it is set and not empty.
    pub fn overlay_environment(&mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let path = |name: &str| lookup(name).map(PathBuf::from);
        replace(&mut self.state_dir, path("PLUGMEND_STATE_DIR"));
        replace(&mut self.log_level, lookup("LOG_LEVEL"));
        replace(&mut self.log_format, lookup("LOG_FORMAT"));
        replace(&mut self.database_url, lookup("DATABASE_URL"));
        replace(
            &mut self.database_max_connections,
            number(&lookup, "DATABASE_MAX_CONNECTIONS")?,
        );
        replace(&mut self.jwt_public, lookup("MOLAM_ID_JWT_PUBLIC"));
        replace(&mut self.secret_key, lookup("PLUGMEND_SECRET_KEY"));
        replace(&mut self.secret_key_file, path("PLUGMEND_SECRET_KEY_FILE"));
        replace(&mut self.heartbeat_interval_s, number(&lookup, "PLUGMEND_HEARTBEAT_S")?);
        replace(&mut self.telemetry_days, number(&lookup, "PLUGMEND_TELEMETRY_DAYS")?);
        replace(&mut self.api.bind, lookup("PLUGMEND_API_BIND"));
        replace(&mut self.api.port, number(&lookup, "PORT")?);
        replace(
            &mut self.api.trusted_proxies,
            lookup("PLUGMEND_TRUSTED_PROXIES").map(|list| split_list(&list)),
        );
        replace(&mut self.api.per_second, number(&lookup, "PLUGMEND_API_PER_SECOND")?);
        replace(&mut self.api.metrics_token, lookup("PLUGMEND_METRICS_TOKEN"));
        replace(&mut self.gateway.listen, lookup("PLUGMEND_GATEWAY_BIND"));
        replace(
            &mut self.gateway.names,
            lookup("PLUGMEND_GATEWAY_NAMES").map(|names| split_list(&names)),
        );
        replace(&mut self.gateway.trust_domain, lookup("PLUGMEND_TRUST_DOMAIN"));
        replace(&mut self.gateway.pki_dir, path("PLUGMEND_PKI_DIR"));
        self.gateway.overlay_identity(&lookup)?;
        self.console.overlay_environment(&lookup);
        self.molam_id.overlay_environment(&lookup);
        self.sira.overlay_environment(&lookup);
        self.retention.overlay_environment(&lookup)?;
        self.staging.overlay(&lookup)?;
        replace(&mut self.repository.dir, path("PLUGMEND_REPOSITORY_DIR"));
        replace(&mut self.repository.url, lookup("PLUGMEND_REPO_URL"));
        replace(&mut self.repository.keys_dir, path("PLUGMEND_REPOSITORY_KEYS_DIR"));
        replace(
            &mut self.webhooks.networks,
            lookup("PLUGMEND_WEBHOOK_NETWORKS").map(|list| split_list(&list)),
        );
        replace(&mut self.audit_dir, path("PLUGMEND_AUDIT_DIR"));
        replace(&mut self.webhooks.ca_file, path("PLUGMEND_WEBHOOK_CA_FILE"));
        replace(&mut self.ingest.flushers, number(&lookup, "PLUGMEND_INGEST_FLUSHERS")?);
        replace(&mut self.ingest.batch, number(&lookup, "PLUGMEND_INGEST_BATCH")?);
        replace(&mut self.ingest.delay_ms, number(&lookup, "PLUGMEND_INGEST_DELAY_MS")?);
        replace(&mut self.ingest.queue, number(&lookup, "PLUGMEND_INGEST_QUEUE")?);
        Ok(())
    }
}

impl RawGateway {
    fn overlay_identity(&mut self, lookup: &impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let path = |name: &str| lookup(name).map(PathBuf::from);
        replace(&mut self.ca_key, lookup("PLUGMEND_CA_KEY"));
        replace(&mut self.ca_key_file, path("PLUGMEND_CA_KEY_FILE"));
        replace(&mut self.certificate_file, path("PLUGMEND_GATEWAY_CERTIFICATE_FILE"));
        replace(&mut self.key_file, path("PLUGMEND_GATEWAY_KEY_FILE"));
        replace(&mut self.ca_file, path("PLUGMEND_GATEWAY_CA_FILE"));
        replace(
            &mut self.certificate_lifetime_s,
            number(lookup, "PLUGMEND_CERTIFICATE_LIFETIME_S")?,
        );
        replace(
            &mut self.certificate_grace_s,
            number(lookup, "PLUGMEND_CERTIFICATE_GRACE_S")?,
        );
        replace(&mut self.in_flight_s, number(lookup, "PLUGMEND_IN_FLIGHT_S")?);
        Ok(())
    }
}

pub(super) fn replace<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(super) fn number<T: std::str::FromStr>(
    lookup: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    lookup(name)
        .map(|text| {
            text.trim().parse().map_err(|_| ConfigError::Invalid {
                name,
                why: format!("'{text}' is not a number in range"),
            })
        })
        .transpose()
}
