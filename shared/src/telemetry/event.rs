//! JSON events, one object a line:
//!
//! ```text
//! {"type":"hello","version":"1.2.3","env":{"php":"8.2.7"}}   at the plugin's start: which code runs, and on what
//! {"type":"request","ok":true,"ms":12}                       a request served; ok and ms may be absent
//! {"type":"error","message":"card gateway: time-out"}        an error outside of a request
//! {"type":"webhook","ok":false}                              a webhook delivery and how it went
//! {"type":"counter","name":"orders","value":1}               a counter or
//! {"type":"gauge","name":"queue","value":17}                 gauge with a name of its own
//! ```
//!
//! Every event may carry `version` (of the code that speaks) and `at` (RFC 3339: when it happened, for spool files).
//! Other fields are ignored, so that newer plugins can speak to older agents.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use serde::Deserialize;

use super::fact::{Fact, Refusal, check_name, short, to_count, to_ms};

/// The longest line, in bytes.
pub const MAX_LINE: usize = 8192;
/// The most entries of an `env` that are read.
const MAX_ENV: usize = 16;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    ok: Option<bool>,
    ms: Option<f64>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    env: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    value: Option<f64>,
    at: Option<Timestamp>,
}

/// Reads one line and says when it happened, if the line does. Nothing is emitted unless all of the line is good.
///
/// # Errors
/// What is wrong with the line.
pub fn parse_line(line: &[u8], emit: &mut dyn FnMut(Fact<'_>)) -> Result<Option<Timestamp>, Refusal> {
    let event = read(line)?;
    let facts = facts(&event)?;
    facts.into_iter().flatten().for_each(&mut *emit);
    if let Some(version) = event.version.as_deref().filter(|version| !version.is_empty()) {
        emit(Fact::Version(short(version)));
    }
    for (name, value) in event.env.iter().take(MAX_ENV) {
        if check_name(name).is_ok() {
            emit(Fact::Env {
                name,
                value: short(value),
            });
        }
    }
    Ok(event.at)
}

/// When the event of a line happened, if the line is good and says so.
pub fn time_of(line: &[u8]) -> Option<Timestamp> {
    read(line).ok().and_then(|event| event.at)
}

fn read(line: &[u8]) -> Result<Event<'_>, Refusal> {
    if line.len() > MAX_LINE {
        return Err(Refusal::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| Refusal::NotText)?;
    serde_json::from_str(text).map_err(|_| Refusal::Malformed)
}

fn facts<'e>(event: &'e Event<'_>) -> Result<[Option<Fact<'e>>; 2], Refusal> {
    let failed = u64::from(event.ok == Some(false));
    let number = || event.value.filter(|value| value.is_finite()).ok_or(Refusal::BadValue);
    let name = || check_name(event.name.as_deref().ok_or(Refusal::Malformed)?);
    Ok(match event.kind.as_ref() {
        "hello" => [None, None],
        "request" => [Some(Fact::Requests { served: 1, failed }), latency(event.ms)?],
        "error" => [
            Some(Fact::Errors(1)),
            event.message.as_deref().map(|text| Fact::Message(short(text))),
        ],
        "webhook" => [Some(Fact::Webhooks { tried: 1, failed }), None],
        "counter" => {
            to_count(number()?)?;
            [
                Some(Fact::Count {
                    name: name()?,
                    by: number()?,
                }),
                None,
            ]
        }
        "gauge" => [
            Some(Fact::Gauge {
                name: name()?,
                value: number()?,
            }),
            None,
        ],
        _ => return Err(Refusal::UnknownKind),
    })
}

fn latency(ms: Option<f64>) -> Result<Option<Fact<'static>>, Refusal> {
    ms.map(|ms| {
        Ok(Fact::Latency {
            ms: to_ms(ms)?,
            times: 1,
        })
    })
    .transpose()
}
