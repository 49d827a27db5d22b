//! `plugmend-with-postgres COMMAND [ARGUMENT...]`: runs a command with a Postgres at hand.
//!
//! The command finds an administrator's URL in `PLUGMEND_TEST_DATABASE_URL`. A cluster that was started for it is
//! stopped when it ends; the exit code is the command's.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use plugmend_tests::postgres::{Durability, Postgres, URL_VARIABLE};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("plugmend-with-postgres: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments
        .next()
        .context("usage: plugmend-with-postgres COMMAND [ARGUMENT...]")?;
    let postgres = Postgres::obtain(Durability::Relaxed)?;
    let mut command = Command::new(program);
    command.args(arguments).env(URL_VARIABLE, postgres.url());
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .context("start the command")?;
    // A person's Ctrl-C reaches the command by itself; a plain TERM is passed on. Either way Postgres is stopped after.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupted.recv() => {}
            _ = terminated.recv() => pass_on(&child),
        }
    };
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

fn pass_on(child: &tokio::process::Child) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself in the meantime.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}
