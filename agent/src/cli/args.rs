//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::config::Overrides;

/// Runs beside one plugin: reports its health and installs signed releases of it.
#[derive(Debug, Parser)]
#[command(
    name = "plugmend-agent",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(super) struct Args {
    /// The agent's configuration
    #[arg(
        long,
        short,
        global = true,
        env = "PLUGMEND_AGENT_CONFIG",
        default_value = "/etc/plugmend/agent.toml"
    )]
    pub(super) config: PathBuf,
    /// The state directory, instead of the one in the configuration
    #[arg(long, global = true, env = "PLUGMEND_AGENT_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// The control plane, instead of the one in the configuration
    #[arg(long, global = true, env = "PLUGMEND_AGENT_CONTROL_PLANE_URL")]
    pub(super) url: Option<String>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What to do
    #[command(subcommand)]
    pub(super) verb: Verb,
}

impl Args {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            state_dir: self.state_dir.clone(),
            url: self.url.clone(),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the agent (what the service manager starts)
    Run(Run),
    /// Make this agent known to the control plane with a one-time token
    Enrol(Enrol),
    /// Show how plugin, agent and control plane are
    Status,
    /// Bring the release before back, now, also without the control plane
    Rollback(Rollback),
    /// Compare the installed files with the signed manifest
    Verify,
    /// Look for what could keep the agent from its work, and say what to do
    Doctor,
}

/// Arguments of `run`.
#[derive(Debug, ClapArgs)]
pub(super) struct Run {
    /// How much to log: error, warn, info, debug or trace
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub(super) log_level: tracing::level_filters::LevelFilter,
    /// How to log
    #[arg(long, env = "PLUGMEND_AGENT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Arguments of `enrol`.
#[derive(Debug, ClapArgs)]
pub(super) struct Enrol {
    /// The file with the token, or - for standard input (never the token itself: others could see it)
    #[arg(long)]
    pub(super) token_file: PathBuf,
    /// Replace the identity that this agent has
    #[arg(long)]
    pub(super) anew: bool,
}

/// Arguments of `rollback`.
#[derive(Debug, ClapArgs)]
pub(super) struct Rollback {
    /// The version to go back to, instead of the one before
    #[arg(long)]
    pub(super) to: Option<semver::Version>,
    /// Also from a release that changed its data; restore the snapshot first
    #[arg(long)]
    pub(super) force: bool,
}
