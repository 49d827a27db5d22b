//! `plugmend`: the command line for ops and release engineers.
//!
//! Results go to standard output (words for people, or one JSON value with `--json`), progress and errors to standard
//! error. No secret is ever taken as an argument, where every user of the machine could read it.

mod api;
mod cli;
mod detect;
mod doctor;
mod exit;
mod ops;
mod output;
mod release;
mod tools;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
