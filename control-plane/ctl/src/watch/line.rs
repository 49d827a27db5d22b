//! One line for each thing that happens.

use jiff::Timestamp;
use plugmend_shared::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::{
    api::Event,
    output::{Tone, plain, text, tinted},
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When, as it is printed.
    at: String,
    /// `incident.changed` and the like.
    kind: String,
    /// In words.
    pub words: String,
    data: Value,
}

impl Line {
    /// Out of the stream of events.
    pub fn of_event(event: &Event) -> Self {
        let value = event.value();
        let data = value.get("data").cloned().unwrap_or_default();
        let at = value.get("at").and_then(Value::as_str).map_or_else(now, plain);
        let what = event.kind.split_once('.').map_or(event.kind.as_str(), |(what, _)| what);
        let id = text(&data, &format!("{what}_id"));
        let mut words = vec![plain(&event.kind)];
        if let Some(is_off) = data.get("autopatch_enabled").and_then(Value::as_bool) {
            words.push(crate::ops::switch_words(!is_off));
        }
        if id != "-" {
            words.push(id);
        }
        words.extend(details(&data));
        Self {
            at,
            kind: event.kind.clone(),
            words: words.join(" "),
            data,
        }
    }

    /// An incident or an attempt that is new, or otherwise than it was.
    pub fn of(kind: &str, entry: &Value, was: Option<&Value>) -> Self {
        let status = tinted(&text(entry, "status"), Tone::of(&text(entry, "status")));
        let step = was.map_or_else(|| status.clone(), |was| format!("{} → {status}", text(was, "status")));
        let mut words = vec![kind.to_owned(), text(entry, "id"), step];
        words.extend(details(entry));
        Self {
            at: now(),
            kind: format!("{kind}.changed"),
            words: words.join(" "),
            data: json!({ format!("{kind}_id"): entry.get("id"), "status": entry.get("status"),
                "was": was.and_then(|was| was.get("status")) }),
        }
    }

    /// One that is not among those under way any more.
    pub fn gone(kind: &str, entry: &Value) -> Self {
        let words = format!("{kind} {} is not {} any more", text(entry, "id"), text(entry, "status"));
        Self {
            at: now(),
            kind: format!("{kind}.gone"),
            words,
            data: json!({ format!("{kind}_id"): entry.get("id"), "was": entry.get("status") }),
        }
    }

    /// The kill switch was thrown, or set back.
    pub fn kill_switch(is_on: bool) -> Self {
        Self {
            at: now(),
            kind: "kill_switch.changed".to_owned(),
            words: crate::ops::switch_words(is_on),
            data: json!({ "autopatch_enabled": !is_on }),
        }
    }

    /// For people.
    pub fn to_words(&self) -> String {
        format!("{} {}", self.at, self.words)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({ "at": self.at, "kind": self.kind, "data": self.data })
    }
}

/// What is worth a word, of whatever there is.
fn details(of: &Value) -> Vec<String> {
    let moved = match (text(of, "was").as_str(), text(of, "status").as_str()) {
        ("-", _) => None,
        (was, is) if was != is => Some(format!("{was} → {}", tinted(is, Tone::of(is)))),
        (_, is) => Some(is.to_owned()),
    };
    let named = [
        "severity",
        "incident_type",
        "method",
        "type",
        "action",
        "step",
        "resolution",
        "end_reason",
        "product",
        "version",
    ];
    let found = named
        .into_iter()
        .map(|field| text(of, field))
        .filter(|word| word != "-");
    let versions = match (text(of, "from_version").as_str(), text(of, "to_version").as_str()) {
        (_, "-") => None,
        (from, to) => Some(format!("{from} → {to}")),
    };
    let why = Some(text(of, "escalation_reason"))
        .filter(|why| why != "-")
        .map(|why| format!("({why})"));
    let who = Some(text(of, "by"))
        .filter(|who| who != "-")
        .map(|who| format!("by {who}"));
    let why = why.or_else(|| Some(text(of, "fields")).filter(|fields| fields != "-"));
    moved
        .into_iter()
        .chain(found)
        .chain(versions)
        .chain(why)
        .chain(who)
        .collect()
}

fn now() -> String {
    let now: Timestamp = SystemClock.now();
    format!("{now:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_can_not_steer_the_terminal() {
        let event = Event {
            id: "8".to_owned(),
            kind: "incident.changed".to_owned(),
            data: json!({ "at": "2026-11-23T02:00:00Z", "data": { "incident_id": "1", "was": "open", "status": "escalated",
                "severity": "high", "escalation_reason": "low\n\u{1b}[2Jconfidence" } })
            .to_string(),
        };
        let line = Line::of_event(&event);
        assert_eq!(
            line.to_words(),
            "2026-11-23T02:00:00Z incident.changed 1 open → escalated high (low \u{fffd}[2Jconfidence)"
        );
        assert_eq!(line.to_json()["data"]["incident_id"], "1");
    }
}
