//! The settings of the staging runner and of those who call it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use plugmend_shared::ids::Digest;
use secrecy::SecretString;
use serde::Deserialize;

use super::{ConfigError, LogSettings, raw::Raw, settings::in_range};

/// `[staging]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawStaging {
    /// `STAGING_RUNNER_URL`: where the runner is, for those who call it.
    pub url: Option<String>,
    /// `STAGING_RUNNER_TOKEN`: what both sides know.
    pub token: Option<String>,
    /// `STAGING_RUNNER_TOKEN_FILE`: a file that holds it.
    pub token_file: Option<PathBuf>,
    /// `PLUGMEND_STAGING_BIND`: address and port of the runner.
    pub listen: Option<String>,
    /// `PLUGMEND_STAGING_REPOSITORY`: the release repository, a folder or an address.
    pub repository: Option<String>,
    /// `PLUGMEND_STAGING_ROOT_FILE`: the root that its metadata are checked against.
    pub root_file: Option<PathBuf>,
    /// `PLUGMEND_STAGING_ROOT_SHA256`: the same by its fingerprint.
    pub root_sha256: Option<String>,
    /// `PLUGMEND_STAGING_STATE_DIR`: the runner's own folder.
    pub state_dir: Option<PathBuf>,
    /// `PLUGMEND_STAGING_CA_FILE`: an authority beside the public ones, PEM, for its calls.
    pub ca_file: Option<PathBuf>,
    /// `PLUGMEND_STAGING_READ`: folders beside the system's that tests may read, comma between.
    pub read: Option<Vec<PathBuf>>,
    /// `PLUGMEND_STAGING_SLOTS`: runs at a time.
    pub slots: Option<usize>,
    /// `PLUGMEND_STAGING_QUEUE`: runs that may wait; more are answered 503.
    pub queue: Option<usize>,
}

impl RawStaging {
    pub(super) fn overlay(&mut self, lookup: &impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        fn replace<T>(slot: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *slot = value;
            }
        }
        let path = |name: &str| lookup(name).map(PathBuf::from);
        let number = |name: &'static str| {
            let parse = |text: String| {
                text.trim().parse::<usize>().map_err(|_| ConfigError::Invalid {
                    name,
                    why: format!("'{text}' is not a number in range"),
                })
            };
            lookup(name).map(parse).transpose()
        };
        replace(&mut self.url, lookup("STAGING_RUNNER_URL"));
        replace(&mut self.token, lookup("STAGING_RUNNER_TOKEN"));
        replace(&mut self.token_file, path("STAGING_RUNNER_TOKEN_FILE"));
        replace(&mut self.listen, lookup("PLUGMEND_STAGING_BIND"));
        replace(&mut self.repository, lookup("PLUGMEND_STAGING_REPOSITORY"));
        replace(&mut self.root_file, path("PLUGMEND_STAGING_ROOT_FILE"));
        replace(&mut self.root_sha256, lookup("PLUGMEND_STAGING_ROOT_SHA256"));
        replace(&mut self.state_dir, path("PLUGMEND_STAGING_STATE_DIR"));
        replace(&mut self.ca_file, path("PLUGMEND_STAGING_CA_FILE"));
        let read = lookup("PLUGMEND_STAGING_READ");
        replace(
            &mut self.read,
            read.map(|list| list.split(',').map(|one| PathBuf::from(one.trim())).collect()),
        );
        replace(&mut self.slots, number("PLUGMEND_STAGING_SLOTS")?);
        replace(&mut self.queue, number("PLUGMEND_STAGING_QUEUE")?);
        Ok(())
    }
}

/// What a caller of the runner needs.
#[derive(Debug, Clone, Default)]
pub struct StagingSettings {
    /// Where it is; none is called without.
    pub url: Option<String>,
    /// What it wants to hear. The runner may use it to read the release repository from the API.
    pub token: Option<SecretString>,
    /// An authority beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Checks a caller's side.
pub(super) fn check(raw: RawStaging) -> Result<StagingSettings, ConfigError> {
    let token = token(raw.token, raw.token_file)?;
    if raw.url.is_some() && token.is_none() {
        return Err(ConfigError::Missing {
            name: "STAGING_RUNNER_TOKEN",
            hint: "what the staging runner at STAGING_RUNNER_URL wants to hear",
        });
    }
    Ok(StagingSettings {
        url: raw.url,
        token,
        ca_file: raw.ca_file,
    })
}

fn token(given: Option<String>, file: Option<PathBuf>) -> Result<Option<SecretString>, ConfigError> {
    let text = match (given, file) {
        (Some(text), _) => text,
        (None, Some(path)) => {
            std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path, source })?
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim();
    if text.len() < 16 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::Invalid {
            name: "STAGING_RUNNER_TOKEN",
            why: "at least 16 printable characters without blanks are wanted (openssl rand -hex 32)".to_owned(),
        });
    }
    Ok(Some(text.to_owned().into()))
}

/// How the runner knows the repository.
#[derive(Debug, Clone)]
pub enum RootSettings {
    /// By a root's file.
    File(PathBuf),
    /// By a root's SHA-256.
    Sha256(Digest),
    /// By nothing: only with `--dev`.
    FirstSeen,
}

/// What the runner needs: nothing of the database, and no key.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// Whether this is a developer's machine.
    pub dev: bool,
    /// What the log shows.
    pub log: LogSettings,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What callers must say.
    pub token: SecretString,
    /// The release repository, a folder or an address.
    pub repository: String,
    /// How its metadata are checked.
    pub root: RootSettings,
    /// The runner's own folder.
    pub state_dir: PathBuf,
    /// An authority beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// Folders beside the system's that tests may read.
    pub read: Vec<PathBuf>,
    /// Runs at a time.
    pub slots: usize,
    /// Runs that may wait.
    pub queue: usize,
    /// Secrets that the configuration gave to it, though it must have none.
    pub given: Vec<&'static str>,
    /// Where keys lie on this host, if they do.
    pub keys: Vec<PathBuf>,
}

/// Checks the runner's side.
pub(super) fn check_runner(raw: Raw, dev: bool) -> Result<RunnerSettings, ConfigError> {
    let missing = |name, hint| ConfigError::Missing { name, hint };
    let state = raw.state_dir.clone();
    let keys = key_places(
        &raw,
        state.as_deref().unwrap_or(Path::new("/var/lib/plugmend-control-plane")),
    );
    let given = [
        ("DATABASE_URL", raw.database_url.is_some()),
        ("PLUGMEND_CA_KEY", raw.gateway.ca_key.is_some()),
        ("PLUGMEND_SECRET_KEY", raw.secret_key.is_some()),
    ];
    let staging = raw.staging;
    let root = match (staging.root_file, staging.root_sha256) {
        (Some(path), _) => RootSettings::File(path),
        (None, Some(text)) => RootSettings::Sha256(text.trim().parse().map_err(|_| ConfigError::Invalid {
            name: "PLUGMEND_STAGING_ROOT_SHA256",
            why: "64 hexadecimal digits are wanted".to_owned(),
        })?),
        (None, None) if dev => RootSettings::FirstSeen,
        (None, None) => {
            return Err(missing(
                "PLUGMEND_STAGING_ROOT_SHA256",
                "the fingerprint of the release repository's root, or its file in PLUGMEND_STAGING_ROOT_FILE",
            ));
        }
    };
    let listen = staging.listen.unwrap_or_else(|| "0.0.0.0:9000".to_owned());
    let (slots, queue) = (staging.slots.unwrap_or(2), staging.queue.unwrap_or(8));
    in_range("PLUGMEND_STAGING_SLOTS", slots as u64, 1, 64)?;
    in_range("PLUGMEND_STAGING_QUEUE", queue as u64, 0, 1000)?;
    Ok(RunnerSettings {
        dev,
        log: LogSettings {
            level: raw.log_level.unwrap_or_else(|| "info".to_owned()),
            json: raw.log_format.is_some_and(|format| format == "json"),
        },
        listen: listen.parse().map_err(|_| ConfigError::Invalid {
            name: "PLUGMEND_STAGING_BIND",
            why: format!("'{listen}' is not an address and port"),
        })?,
        token: token(staging.token, staging.token_file)?
            .ok_or_else(|| missing("STAGING_RUNNER_TOKEN", "what callers must say (openssl rand -hex 32)"))?,
        repository: staging.repository.ok_or_else(|| {
            missing(
                "PLUGMEND_STAGING_REPOSITORY",
                "the release repository: its folder, or an address such as http://control-plane:8112/repo",
            )
        })?,
        root,
        state_dir: staging
            .state_dir
            .unwrap_or_else(|| PathBuf::from("/var/lib/plugmend-staging")),
        ca_file: staging.ca_file,
        read: staging.read.unwrap_or_default(),
        slots,
        queue,
        given: given.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect(),
        keys,
    })
}

/// Where the control plane's keys lie, by the same rules that it finds them by.
fn key_places(raw: &Raw, state_dir: &Path) -> Vec<PathBuf> {
    let pki = raw.gateway.pki_dir.clone().unwrap_or_else(|| state_dir.join("pki"));
    let repository = raw.repository.keys_dir.clone();
    let mut places = vec![
        pki.join(crate::pki::ca::KEY_FILE),
        repository.unwrap_or_else(|| state_dir.join("repository-keys")),
        state_dir.join("dev-jwt-key.hex"),
        state_dir.join("dev-secret-key.hex"),
    ];
    places.extend(raw.gateway.ca_key_file.clone());
    places.extend(raw.gateway.key_file.clone());
    places.extend(raw.secret_key_file.clone());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        toml::from_str(text).unwrap()
    }

    const GOOD: &str = "[staging]\ntoken = '0123456789abcdef'\nrepository = '/srv/repo'\n";

    #[test]
    fn a_runner_starts_with_a_token_a_repository_and_a_pinned_root_only() {
        let pinned = format!("{GOOD}root_file = '/etc/root.json'\n");
        let settings = check_runner(raw(&pinned), false).unwrap();
        assert_eq!((settings.listen.port(), settings.slots, settings.queue), (9000, 2, 8));
        assert!(check_runner(raw(GOOD), false).is_err());
        assert!(matches!(
            check_runner(raw(GOOD), true).unwrap().root,
            RootSettings::FirstSeen
        ));
        for wrong in [
            "[staging]\nrepository = '/r'\nroot_file = '/f'",
            "[staging]\ntoken = 'short'\nrepository = '/r'\nroot_file = '/f'",
            "[staging]\ntoken = '0123456789abcdef'\nroot_file = '/f'",
        ] {
            assert!(check_runner(raw(wrong), false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_given_to_a_runner_are_noticed() {
        let text = format!("database_url = 'postgres://x'\n{GOOD}root_file = '/f'\n");
        assert_eq!(check_runner(raw(&text), false).unwrap().given, ["DATABASE_URL"]);
    }

    #[test]
    fn a_callers_address_wants_a_token() {
        let text = "[staging]\nurl = 'http://127.0.0.1:9000'\n";
        assert!(check(raw(text).staging).is_err());
        let debug = format!("{:?}", check(raw(GOOD).staging).unwrap());
        assert!(!debug.contains("0123456789abcdef"));
    }
}
