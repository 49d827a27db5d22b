//! `plugmend-agent run`.

use std::io;

use super::{
    args::{LogFormat, Run},
    exit::Exit,
    say::Say,
};
use crate::{app, config::Settings, lifecycle::End};

/// Runs the agent until it is told to stop.
pub(super) fn run(args: &Run, settings: &Settings, say: Say) -> Exit {
    let log = tracing_subscriber::fmt()
        .with_max_level(args.log_level)
        .with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(false).with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    match app::run(settings) {
        Ok(End::Stopped | End::Cut) => Exit::Done,
        Ok(End::TaskDied) => Exit::Failed,
        Err(error) if error.needs_enrolment() => say.error(Exit::NotEnrolled, &error),
        Err(error) if error.is_busy() => say.error(Exit::Busy, &error),
        Err(error) => say.error(Exit::Failed, &error),
    }
}
