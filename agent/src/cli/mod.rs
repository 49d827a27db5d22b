//! The command line for the person on the host, and for the service manager.
//!
//! Exit codes, the same for every verb:
//!
//! | code | means |
//! | --- | --- |
//! | 0 | done; nothing is wrong |
//! | 1 | it failed; the message says what to do next |
//! | 2 | the command line is not understood |
//! | 3 | the configuration makes no sense; nothing was opened |
//! | 4 | not enrolled, fenced or revoked: enrol this agent with a new token |
//! | 5 | it was looked, and something is wrong (`verify`, `doctor`, `status`) |
//! | 6 | another agent holds this plugin, or the one that runs does not answer |

mod args;
mod doctor;
mod door;
mod enrol;
mod exit;
mod run;
mod say;
mod status;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

use self::{
    args::{Args, Verb},
    exit::Exit,
    say::Say,
};
use crate::{config, platform::sandbox};

/// Runs the command line.
pub fn main() -> ExitCode {
    // The agent starts itself as the helper that confines a release's own tests.
    let words = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    if let Some(done) = sandbox::helper(words) {
        return done;
    }
    let args = Args::parse();
    let say = Say::new(args.json);
    match config::load(&args.config, &args.overrides()) {
        Ok(settings) => match args.verb {
            Verb::Enrol(verb) => enrol::run(&verb, &settings, say),
            Verb::Run(verb) => run::run(&verb, &settings, say),
            Verb::Status => status::run(&settings, say),
            Verb::Rollback(verb) => work::rollback(verb, &settings, say),
            Verb::Verify => work::verify(&settings, say),
            Verb::Doctor => doctor::run(&settings, say),
        },
        Err(error) => say.error(Exit::BadConfig, &error),
    }
    .into()
}
