//! `make demo`. `KEEP=1` leaves everything running at the end.

use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell says of a program that was interrupted (128 and the signal's number).
const INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let keep = std::env::var("KEEP").is_ok_and(|v| !matches!(v.as_str(), "" | "0" | "no"));
    // However it ends, the stage is dropped, and with it every program that was started.
    let ended = tokio::select! {
        biased;
        ended = plugmend_tests::demo::run(keep) => ended,
        told = told_to_end() => {
            return if told.is_ok() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE };
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the demo did not go as it should: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn told_to_end() -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
