//! Configuration: layers (file, environment) merged, then checked into the settings that the rest uses.
//! Everything wrong is found here, before a port is bound.

mod console;
pub mod dev;
mod gateway;
mod issuer;
mod raw;
mod retention;
mod settings;
mod sira;
mod staging;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use gateway::GatewaySettings;
pub use issuer::IssuerSettings;
pub use retention::RetentionSettings;
pub use settings::{
    ApiSettings, AuthSettings, DatabaseSettings, IngestSettings, LogSettings, RepositorySettings, Role, Settings,
};
pub use sira::SiraSettings;
pub use staging::{RootSettings, RunnerSettings, StagingSettings};

/// What is wrong with the configuration, and what to do about it.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A setting without which it is not safe to start.
    #[error("{name} is missing: {hint} (only --dev starts without it)")]
    Missing {
        /// The environment variable.
        name: &'static str,
        /// What it is and where to get it.
        hint: &'static str,
    },
    /// A value that can not be used.
    #[error("{name} can not be used: {why}")]
    Invalid {
        /// The environment variable or the key in the file.
        name: &'static str,
        /// What is wrong with it; never the value of a secret.
        why: String,
    },
    /// The file can not be read.
    #[error("the configuration file {} can not be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration file {} is not valid", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
}

/// The same for a process that is a staging runner and nothing else.
///
/// # Errors
/// The first thing found wrong.
pub fn load_runner(file: Option<&Path>, dev: bool) -> Result<RunnerSettings, ConfigError> {
    staging::check_runner(merged(file)?, dev)
}

/// Reads the layers and checks them. With `dev`, missing secrets are made below the state directory.
///
/// # Errors
/// The first thing found wrong.
pub fn load(file: Option<&Path>, dev: bool) -> Result<Settings, ConfigError> {
    settings::check(merged(file)?, dev)
}

fn merged(file: Option<&Path>) -> Result<raw::Raw, ConfigError> {
    let mut merged = match file {
        Some(path) => raw::read_file(path)?,
        None => raw::Raw::default(),
    };
    merged.overlay_environment(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
    Ok(merged)
}
