//! The command line: what to do, with which layers of configuration.

mod audit_key;
mod ca;
mod dev_token;
mod repo_keys;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    app,
    config::{self, ConfigError, Role},
    lifecycle,
    staging::runner::guard::Exposed,
};

/// Ended well.
pub const EXIT_OK: u8 = 0;
/// A task died, or could not be finished in time.
pub const EXIT_FAILED: u8 = 1;
/// The configuration is missing something or contradicts itself (`EX_CONFIG` of `sysexits.h`); nothing was started.
pub const EXIT_CONFIG: u8 = 78;

/// Plugmend's control plane.
#[derive(Debug, Parser)]
#[command(name = "plugmend-control-plane", version, about)]
struct Cli {
    /// Configuration file (TOML); the environment overrides it.
    #[arg(long, global = true, env = "PLUGMEND_CONFIG")]
    config: Option<PathBuf>,
    /// For a developer's machine: makes missing secrets itself below the state directory. Never in production.
    #[arg(long, global = true)]
    dev: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the roles named, until told to stop.
    Serve {
        /// Which roles this process takes.
        #[arg(long, value_delimiter = ',', default_value = "gateway,api,worker")]
        roles: Vec<Role>,
        /// Bring the database up to date first.
        #[arg(long)]
        migrate: bool,
    },
    /// Bring the database up to date, and end.
    Migrate,
    /// The agents' CA.
    #[command(subcommand)]
    Ca(ca::Verb),
    /// Print the public halves of the release repository's online keys, for `plugmend release init`.
    RepoKeys,
    /// Print what the audit trail's checkpoints are verified with, for `plugmend audit verify`.
    AuditKey,
    /// Print a token for the ops API, signed by the key that `--dev` made.
    DevToken(dev_token::Arguments),
}

/// Parses the command line, reads the configuration, runs the verb, and says how it ended.
pub fn run() -> ExitCode {
    // It starts itself as the helper that confines a release's own tests.
    let words = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    if let Some(done) = plugmend_sandbox::helper(words) {
        return done;
    }
    let cli = Cli::parse();
    if let Verb::Serve { roles, .. } = &cli.verb
        && roles.contains(&Role::StagingRunner)
    {
        return staging_runner(&cli, roles);
    }
    let settings = match config::load(cli.config.as_deref(), cli.dev) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = lifecycle::init_logging(&settings.log) {
        return refuse(&error);
    }
    say_how_it_ended(match cli.verb {
        Verb::Serve { roles, migrate } => app::serve(&settings, &roles, migrate),
        Verb::Migrate => app::migrate(&settings),
        Verb::Ca(verb) => ca::run(&settings, &verb),
        Verb::AuditKey => audit_key::print(&settings),
        Verb::RepoKeys => repo_keys::print(&settings),
        Verb::DevToken(arguments) => dev_token::print(&settings, &arguments),
    })
}

/// A process of its own: it is not even told where the database is.
fn staging_runner(cli: &Cli, roles: &[Role]) -> ExitCode {
    if roles != [Role::StagingRunner] {
        return refuse(&ConfigError::Invalid {
            name: "--roles",
            why: "the staging runner is a process of its own, under a user of its own: name no other role".to_owned(),
        });
    }
    let settings = match config::load_runner(cli.config.as_deref(), cli.dev) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = lifecycle::init_logging(&settings.log) {
        return refuse(&error);
    }
    let ended = app::serve_runner(&settings);
    if let Err(error) = &ended
        && let Some(exposed) = error.downcast_ref::<Exposed>()
    {
        return refuse(exposed);
    }
    say_how_it_ended(ended)
}

fn say_how_it_ended(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => {
            if let Some(config) = error.downcast_ref::<ConfigError>() {
                return refuse(config);
            }
            tracing::error!(error = format!("{error:#}"), "ended with an error");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "logging may not be set up yet, and this is for the person who started us"
)]
fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("plugmend-control-plane: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::from(EXIT_CONFIG)
}
