//! Settings of the host: read in layers, then validated.
//!
//! Layers, the later one wins: the TOML file, the environment, the command line. What comes out is [`Settings`], which
//! the rest of the agent uses; nothing is opened before it is valid.

mod file;
mod settings;
#[cfg(test)]
mod tests;
mod validate;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use settings::{Ask, Hooks, Layout, Pin, Plugin, Probe, Sandbox, Settings, Telemetry};

/// The longest configuration file, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// What the environment and the command line may say over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `state_dir`.
    pub state_dir: Option<PathBuf>,
    /// `control_plane.url`.
    pub url: Option<String>,
}

/// What is wrong with the configuration. The agent does not start, and says so with an exit code of its own.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can not be read.
    #[error("the configuration {0} can not be read; name it with --config or PLUGMEND_AGENT_CONFIG")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is longer than a configuration can be.
    #[error("the configuration {0} is longer than {MAX_FILE} bytes")]
    TooLong(PathBuf),
    /// Not TOML, or not with these keys.
    #[error("the configuration {0} can not be understood")]
    Malformed(PathBuf, #[source] Box<toml::de::Error>),
    /// A value makes no sense.
    #[error("{key} in the configuration: {problem}")]
    Invalid {
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
}

/// Reads and validates the configuration.
///
/// # Errors
/// The first thing that is wrong, by its key.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Settings, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable(path.to_path_buf(), error);
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(ConfigError::TooLong(path.to_path_buf()));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text, path, overrides)
}

fn parse(text: &str, path: &Path, overrides: &Overrides) -> Result<Settings, ConfigError> {
    let mut file: file::File =
        toml::from_str(text).map_err(|error| ConfigError::Malformed(path.to_path_buf(), Box::new(error)))?;
    if let Some(dir) = &overrides.state_dir {
        file.state_dir.clone_from(dir);
    }
    if let Some(url) = &overrides.url {
        file.control_plane.url.clone_from(url);
    }
    validate::validate(file)
}
