//! What wakes whoever watches: an event of the control plane, or the clock.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{
    api::{Api, ApiError, Event, Events},
    exit::Exit,
    output::exit_of,
};

/// How long to wait before the stream is opened again.
const AGAIN: Duration = Duration::from_secs(3);

/// What woke.
#[derive(Debug)]
pub enum Beat {
    /// Something happened.
    Event(Event),
    /// Time has passed.
    Tick,
}

/// Where the stream of events stands.
#[derive(Debug)]
enum Stream {
    Open(Box<Events>),
    /// To be opened at this moment.
    Broken(Instant),
    /// This control plane has none: there is only the clock.
    Absent,
}

/// The stream of events with the clock beside it.
pub struct Pulse<'a> {
    api: &'a Api,
    stream: Stream,
    last: Option<String>,
}

impl<'a> Pulse<'a> {
    /// Not open yet.
    pub fn new(api: &'a Api) -> Self {
        Self {
            api,
            stream: Stream::Broken(Instant::now()),
            last: None,
        }
    }

    /// Whether events come as they happen.
    pub fn is_live(&self) -> bool {
        matches!(self.stream, Stream::Open(_))
    }

    /// Waits for an event, no longer than `most`. A stream that breaks off is opened again behind its last event.
    ///
    /// # Errors
    /// When the control plane does not let us watch.
    pub async fn beat(&mut self, most: Duration) -> anyhow::Result<Beat> {
        let ends = Instant::now() + most;
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            match &mut self.stream {
                Stream::Absent => {
                    tokio::time::sleep(left).await;
                    return Ok(Beat::Tick);
                }
                Stream::Broken(again) if *again >= ends => {
                    tokio::time::sleep(left).await;
                    return Ok(Beat::Tick);
                }
                Stream::Broken(again) => {
                    tokio::time::sleep_until(*again).await;
                    self.stream = self.open().await?;
                }
                Stream::Open(events) => match timeout(left, events.next()).await {
                    Err(_) => return Ok(Beat::Tick),
                    Ok(Ok(Some(event))) => {
                        self.last = Some(event.id.clone()).filter(|id| !id.is_empty());
                        return Ok(Beat::Event(event));
                    }
                    // It ends by itself every quarter of an hour.
                    Ok(Ok(None) | Err(_)) => self.stream = Stream::Broken(Instant::now() + AGAIN),
                },
            }
        }
    }

    async fn open(&self) -> anyhow::Result<Stream> {
        let error = match self.api.events(self.last.as_deref()).await {
            Ok(events) => return Ok(Stream::Open(Box::new(events))),
            Err(error) => error,
        };
        match (exit_of(&error), error.downcast_ref()) {
            (Exit::NotFound, _) | (_, Some(ApiError::Malformed { .. })) => Ok(Stream::Absent),
            (Exit::Refused, _) => Err(error),
            _ => Ok(Stream::Broken(Instant::now() + AGAIN)),
        }
    }
}
