//! `plugmend`: the command line for ops and release engineers.
//!
//! Results go to standard output (words for people, or one JSON value with `--json`), progress and errors to standard
//! error. No secret is ever taken as an argument, where every user of the machine could read it.

mod api;
mod detect;
mod ops;
mod output;
mod release;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::{Format, Output};

/// Keeps the plugins of online merchants healthy.
#[derive(Debug, Parser)]
#[command(name = "plugmend", version, about, arg_required_else_help = true)]
struct Cli {
    /// Print one JSON value instead of words.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make, sign and publish releases.
    #[command(subcommand)]
    Release(release::Verb),
    /// Run the detectors on recorded data.
    #[command(subcommand)]
    Detect(detect::Verb),
    #[command(flatten)]
    Ops(ops::Verb),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = if cli.json { Format::Json } else { Format::Words };
    let ended = match cli.verb {
        Verb::Detect(verb) => return detect::run(&verb).unwrap_or_else(|error| output::fail(&error, format)),
        Verb::Release(verb) => release::run(verb, format),
        Verb::Ops(verb) => ops::run(verb),
    };
    ended.map_or_else(|error| output::fail(&error, format), |done: Output| done.print(format))
}
