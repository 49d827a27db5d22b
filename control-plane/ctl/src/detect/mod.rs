//! `plugmend detect`: the product's own detectors on recorded data, from standard input to standard output.

mod lines;
mod replay;
mod series;

use std::process::ExitCode;

use clap::Subcommand;

use crate::exit::Exit;

/// What `plugmend detect` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Heartbeats in (one JSON object a line, in the order of their time), detections out (the same).
    Replay,
    /// `timestamp,value` in, `timestamp,value,anomaly_score` out: one row for each row.
    Series,
}

/// Runs one of them. Lines that can not be read are told on standard error, and the exit code says so.
pub fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let refused = match verb {
        Verb::Replay => replay::run(input, output, &mut tell)?,
        Verb::Series => series::run(input, output, &mut tell)?,
    };
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        Exit::BadLines.into()
    })
}

/// The most bad lines that are told one by one.
const MOST_TOLD: u64 = 100;

fn tell(refused: u64, line: u64, problem: &str) {
    match refused {
        ..MOST_TOLD => eprintln!("plugmend: line {line}: {problem}"),
        MOST_TOLD => eprintln!("plugmend: line {line}: {problem}; more bad lines are not told"),
        _ => {}
    }
}
