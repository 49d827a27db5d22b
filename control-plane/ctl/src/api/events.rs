//! Server-sent events (WHATWG HTML, section 9.2), as far as `GET /api/ops/events` uses them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use super::{Api, Query};

/// The longest event that is taken, in bytes.
const MAX_EVENT: usize = 1024 * 1024;
/// The control plane says something every 15 seconds; after this long without a word, the line is dead.
const SILENCE: Duration = Duration::from_secs(50);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its position, to go on behind it.
    pub id: String,
    /// What happened, `incident.opened` say.
    pub kind: String,
    /// What is to be known of it (JSON).
    pub data: String,
}

impl Event {
    /// What is to be known of it; null when that is no JSON.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }
}

/// An open stream of events.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    parser: Parser,
    ready: std::collections::VecDeque<Event>,
}

impl Api {
    /// Opens the stream of events, behind the event `after`.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub async fn events(&self, after: Option<&str>) -> anyhow::Result<Events> {
        let query = Query::new("/api/ops/events");
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        headers.extend(after.map(|after| ("last-event-id", after.to_owned())));
        Ok(Events {
            body: self.stream(query.as_str(), &headers).await?,
            parser: Parser::default(),
            ready: std::collections::VecDeque::new(),
        })
    }
}

impl Events {
    /// The next event; `None` when the stream has ended.
    ///
    /// # Errors
    /// When the line broke, or what comes is no stream of events.
    pub async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame())
                .await
                .context("the stream of events went silent")?;
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(bytes) = frame.context("the stream of events broke off")?.into_data() {
                self.ready.extend(self.parser.take(&bytes)?);
            }
        }
    }
}

/// What came so far of an event.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    id: String,
    kind: String,
    data: String,
}

impl Parser {
    /// Takes bytes, however they are cut; gives the events that they complete.
    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                ensure!(
                    self.line.len() + self.data.len() < MAX_EVENT,
                    "an event is longer than {MAX_EVENT} bytes"
                );
                self.line.push(*byte);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            events.extend(self.end_of(line.trim_end_matches('\r')));
        }
        Ok(events)
    }

    fn end_of(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            // Without data nothing happened; the id stays that of the last event.
            return (!data.is_empty()).then(|| Event {
                id: self.id.clone(),
                kind,
                data,
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.id),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment, `retry`, or something newer than this.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "retry: 1000\nid: 7\nevent: stream.ready\ndata: {\"position\":7}\n\n: at 7\n\n\
                          id: 8\r\nevent: incident.opened\r\ndata: {\"é\":1}\r\n\r\ndata: a\ndata:b\n\n";

    fn whole() -> Vec<Event> {
        Parser::default().take(STREAM.as_bytes()).unwrap()
    }

    #[test]
    fn events_are_read_and_comments_are_passed_over() {
        let events = whole();
        assert_eq!(events.len(), 3);
        assert_eq!(
            (events[1].id.as_str(), events[1].kind.as_str()),
            ("8", "incident.opened")
        );
        assert_eq!(events[1].value()["é"], 1);
        assert_eq!((events[2].id.as_str(), events[2].data.as_str()), ("8", "a\nb"));
    }

    #[test]
    fn an_event_without_end_is_not_kept_for_ever() {
        let mut parser = Parser::default();
        let long = vec![b'x'; MAX_EVENT + 1];
        assert!(parser.take(&long).unwrap_err().to_string().contains("longer"));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_stream_is_cut(cuts in proptest::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for pair in cuts.windows(2) {
                events.extend(parser.take(&STREAM.as_bytes()[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(events, whole());
        }

        #[test]
        fn whatever_comes_it_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parser::default().take(&bytes);
        }
    }
}
