//! `watch`: what happens, as it happens.

mod follow;
mod line;
mod pulse;
mod screen;
mod view;

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use clap::Args;
use plugmend_shared::clock::{Clock as _, SystemClock};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use uuid::Uuid;

use self::{
    follow::Until,
    line::Line,
    pulse::{Beat, Pulse},
    screen::Screen,
    view::View,
};
use crate::{
    api::{Api, Connection},
    exit::Exit,
    output::{Format, Output, exit_of},
};

/// Looks at the control plane are at least this far apart, however much happens.
const APART: Duration = Duration::from_secs(1);
/// How often a live view is drawn anew when nothing happens.
const QUIET: Duration = Duration::from_secs(15);

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Follow this incident until it ends; the exit code is its outcome: 0 healed, 3 people are needed.
    #[arg(long)]
    incident: Option<Uuid>,
    /// When an incident counts as ended.
    #[arg(long, value_enum, default_value = "mitigated", requires = "incident")]
    until: Until,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Seconds between two looks where the control plane has no stream of events.
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    interval: u16,
    #[command(flatten)]
    connection: Connection,
}

/// Watches until Ctrl-C, until the time is over, or until the incident ends.
///
/// # Errors
/// When the control plane can not be reached or refuses.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<Output> {
    let api = Api::connect(&arguments.connection)?;
    api.block_on(async {
        let deadline = arguments
            .timeout
            .map(|seconds| Instant::now() + Duration::from_secs(u64::from(seconds)));
        let mut tell = |line: &Line| say(line, format);
        let Some(id) = arguments.incident else {
            let watched = fleet(&api, arguments, format);
            tokio::select! {
                ended = watched => ended?,
                () = stopped() => {}
                () = until(deadline) => {}
            }
            return Ok(Output::silent());
        };
        let watched = follow::follow(&api, id, arguments.until, deadline, &mut tell);
        tokio::select! {
            ended = watched => ended,
            () = stopped() => Ok(Output::silent().ending(Exit::Interrupted)),
        }
    })
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C, or the polite end of the process.
async fn stopped() {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Then the signals do what they do to any process.
        _ => std::future::pending().await,
    }
}

/// Prints a line; one that can not be printed has no reader any more.
fn say(line: &Line, format: Format) {
    let mut out = io::stdout().lock();
    let written = match format {
        Format::Words => writeln!(out, "{}", line.to_words()),
        Format::Json => writeln!(out, "{}", line.to_json()),
    };
    let _ = written.and_then(|()| out.flush());
}

async fn fleet(api: &Api, arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let interval = Duration::from_secs(u64::from(arguments.interval));
    let mut view = View::look(api).await?;
    if format == Format::Words && io::stdout().is_terminal() {
        return live(api, view, interval).await;
    }
    for line in view.since(&View::default()) {
        say(&line, format);
    }
    let mut pulse = Pulse::new(api);
    loop {
        match pulse.beat(interval).await? {
            // What a stream says of itself: something may have happened beside it.
            Beat::Event(event) if !event.kind.starts_with("stream.") => {
                say(&Line::of_event(&event), format);
                continue;
            }
            Beat::Tick if pulse.is_live() => continue,
            Beat::Event(_) | Beat::Tick => {}
        }
        if let Some(now) = seen(View::look(api).await)? {
            for line in now.since(&view) {
                say(&line, format);
            }
            view = now;
        }
    }
}

/// The view on a terminal.
async fn live(api: &Api, mut view: View, interval: Duration) -> anyhow::Result<()> {
    let mut screen = Screen::take()?;
    let mut pulse = Pulse::new(api);
    let mut is_lost = false;
    loop {
        let how = match (is_lost, pulse.is_live()) {
            (true, _) => "the control plane can not be reached, trying again".to_owned(),
            (false, true) => "live".to_owned(),
            (false, false) => format!("every {} s", interval.as_secs()),
        };
        screen.show(&view, &format!("{:.0}, {how}; Ctrl-C ends", SystemClock.now()))?;
        tokio::time::sleep(APART).await;
        let wait = if pulse.is_live() { QUIET } else { interval };
        pulse.beat(wait).await?;
        // A burst of events is one reason to look, not many.
        while let Beat::Event(_) = pulse.beat(Duration::from_millis(50)).await? {}
        let now = seen(View::look(api).await)?;
        is_lost = now.is_none();
        view = now.unwrap_or(view);
    }
}

/// A look that may fail for a while.
fn seen(look: anyhow::Result<View>) -> anyhow::Result<Option<View>> {
    match look {
        Ok(view) => Ok(Some(view)),
        Err(error) if exit_of(&error) == Exit::Unavailable => Ok(None),
        Err(error) => Err(error),
    }
}
