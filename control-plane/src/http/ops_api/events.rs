//! `GET /api/ops/events`: what happens, live, as server-sent events (WHATWG HTML, section 9.2). Each event has its position for
//! an id; `Last-Event-ID` goes on behind it, and nothing is lost for as long as events are kept.

use std::{convert::Infallible, fmt::Write as _, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use plugmend_shared::ids::MerchantId;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    http::{ApiError, AppState, QueryParams, auth::Caller},
    service::events::{Admission, Events, Part, TooMany},
    store::{StoreError, ops_event::OpsEvent},
};

/// Parts that wait for a reader at most.
const AHEAD: usize = 4;
/// How long a reader may take over what waits for it. Who is slower is cut off, and goes on where it stopped.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a word goes out when nothing happens, so that proxies and readers know that the line stands.
const STILL_HERE: Duration = Duration::from_secs(15);
/// How long one stream lasts: whoever goes on shows its token again.
const LASTS: Duration = Duration::from_mins(15);
/// Milliseconds after which a reader that was cut off comes back.
const RETRY_MS: u32 = 1_000;

/// From where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// As `Last-Event-ID`, for those who can set no header.
    after: Option<i64>,
    /// Of this merchant only.
    merchant_id: Option<MerchantId>,
}

/// `GET /api/ops/events`.
#[utoipa::path(
    get,
    path = "/api/ops/events",
    tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Goes on behind this event.")),
    responses((status = 200, description = "A stream without end.", body = String, content_type = "text/event-stream"))
)]
pub async fn stream(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    QueryParams(query): QueryParams<EventQuery>,
) -> Result<Response, ApiError> {
    let after = match headers.get("last-event-id") {
        Some(value) => Some(position(value)?),
        None => query.after,
    };
    let merchant_id = caller.scope.narrow(query.merchant_id)?;
    let events = state.events.clone();
    let place = events.admit(&caller.subject)?;
    let kept = events.kept().await?;
    let (from, first) = match after {
        Some(after) if (kept.forgotten..=kept.newest).contains(&after) => (after, greet("stream.resumed", after)),
        Some(_) => (kept.newest, greet("stream.reset", kept.newest)),
        None => (kept.newest, greet("stream.ready", kept.newest)),
    };
    let (parts, body) = mpsc::channel(AHEAD);
    let pump = Pump {
        events,
        merchant_id,
        position: from,
        parts,
        _place: place,
    };
    tokio::spawn(pump.run(first));
    let body = futures_util::stream::unfold(body, |mut body| async move {
        let part: Bytes = body.recv().await?;
        Some((Ok::<_, Infallible>(part), body))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Nginx would hold events back until it has a page full of them.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(body)).into_response())
}

fn position(value: &HeaderValue) -> Result<i64, ApiError> {
    let read = value.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok());
    read.filter(|position| *position >= 0).ok_or_else(|| {
        ApiError::bad_request("invalid_last_event_id", "The Last-Event-ID can not be read")
            .detail("it takes the id of an event of this stream")
    })
}

impl From<TooMany> for ApiError {
    fn from(error: TooMany) -> Self {
        match error {
            TooMany::InAll => Self::busy(),
            TooMany::Yours => Self::problem(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_streams",
                "You watch too often at once",
            )
            .detail(error.to_string()),
        }
    }
}

/// The first event of a stream, without anything that happened: where it begins, and that what was shown before is to be read
/// anew (`stream.reset`) or goes on (`stream.resumed`).
fn greet(kind: &str, position: i64) -> String {
    format!("retry: {RETRY_MS}\nid: {position}\nevent: {kind}\ndata: {{\"position\":{position}}}\n\n")
}

/// An event on the wire. JSON has no bare line ends, so one `data` line holds it.
fn write(text: &mut String, event: &OpsEvent) {
    let data = serde_json::to_string(event).unwrap_or_default();
    let _ = write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", event.position, event.kind);
}

/// What fills one stream.
struct Pump {
    events: Events,
    merchant_id: Option<MerchantId>,
    position: i64,
    parts: mpsc::Sender<Bytes>,
    _place: Admission,
}

enum Woken {
    News,
    Quiet,
    End,
}

impl Pump {
    async fn run(mut self, first: String) {
        let ends = Instant::now() + LASTS;
        let (mut newest, mut stop) = (self.events.newest(), self.events.stop());
        if !self.send(first).await {
            return;
        }
        loop {
            newest.mark_unchanged();
            match self.catch_up().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // The reader comes back, and goes on where it stopped.
                    tracing::warn!(%error, "a stream of events ends early");
                    return;
                }
            }
            let sent = match self.wait(&mut newest, &mut stop, ends).await {
                Woken::News => true,
                Woken::Quiet => self.send(format!(": at {}\n\n", self.position)).await,
                Woken::End => return,
            };
            if !sent {
                return;
            }
        }
    }

    /// Sends all that there is; whether the reader keeps up.
    async fn catch_up(&mut self) -> Result<bool, StoreError> {
        loop {
            let Part { events, reached } = self.events.since(self.position, self.merchant_id).await?;
            let at_end = reached == self.position || events.is_empty();
            self.position = reached;
            if !events.is_empty() {
                let mut text = String::new();
                for event in &events {
                    write(&mut text, event);
                }
                if !self.send(text).await {
                    return Ok(false);
                }
            }
            if at_end {
                return Ok(true);
            }
        }
    }

    async fn send(&self, text: String) -> bool {
        matches!(timeout(PATIENCE, self.parts.send(text.into())).await, Ok(Ok(())))
    }

    async fn wait(&self, newest: &mut watch::Receiver<i64>, stop: &mut watch::Receiver<bool>, ends: Instant) -> Woken {
        let until = ends.min(Instant::now() + STILL_HERE);
        tokio::select! {
            heard = timeout_at(until, newest.changed()) => match heard {
                Ok(Ok(())) => Woken::News,
                Ok(Err(_)) => Woken::End,
                Err(_) if Instant::now() >= ends => Woken::End,
                Err(_) => Woken::Quiet,
            },
            () = self.parts.closed() => Woken::End,
            _ = stop.wait_for(|stop| *stop) => Woken::End,
        }
    }
}
