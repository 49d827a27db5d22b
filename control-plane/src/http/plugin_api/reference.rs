//! The heartbeat as clients of the reference system write it, brought into the one shape we know.

use jiff::Timestamp;
use plugmend_shared::protocol::heartbeat::Heartbeat;
use serde_json::{Map, Value, json};

use crate::http::{ApiError, body};

/// Fields that only an agent sends; from a plugin without one they would be hearsay.
const AGENTS_ONLY: [&str; 9] = [
    "boot_id",
    "seq",
    "agent",
    "host",
    "integrity",
    "installed",
    "settings",
    "early",
    "ill",
];
const MAX_CAPABILITIES: usize = 5;
const MAX_CAPABILITY: usize = 32;

/// A heartbeat and what its sender declares it can do.
#[derive(Debug)]
pub struct Declared {
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// The kinds of commands that the plugin can carry out; none when it says nothing about it.
    pub capabilities: Option<Vec<String>>,
}

/// Reads a heartbeat. JavaScript clients send fractions of seconds, times as milliseconds and an environment in one
/// word; all of these are understood.
///
/// # Errors
/// 400 in the words of [`body::parse`].
pub fn read(bytes: &[u8], now: Timestamp) -> Result<Declared, ApiError> {
    let mut fields: Map<String, Value> = body::parse(bytes)?;
    for name in AGENTS_ONLY {
        fields.remove(name);
    }
    let capabilities = fields.remove("capabilities").map(read_capabilities).transpose()?;
    if let Some(env) = fields.get_mut("env") {
        match env {
            Value::String(name) => *env = json!({ "name": name }),
            Value::Null => *env = json!({}),
            _ => {}
        }
    }
    for name in ["uptime", "errors_last_24h"] {
        if let Some(whole) = fields.get(name).and_then(whole_number) {
            fields.insert(name.to_owned(), whole.into());
        }
    }
    let timestamp = match fields.get("timestamp") {
        None | Some(Value::Null) => Some(now),
        Some(Value::Number(millis)) => millis
            .as_i64()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok()),
        Some(_) => None,
    };
    if let Some(timestamp) = timestamp {
        fields.insert("timestamp".to_owned(), json!(timestamp));
    }
    let heartbeat = body::from_value(Value::Object(fields))?;
    Ok(Declared {
        heartbeat,
        capabilities,
    })
}

/// A number with a fraction, without it; none for anything else (what is wrong with it is found later).
fn whole_number(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|_| !value.is_u64())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0 to 2^53 by the check"
    )]
    (0.0..9_007_199_254_740_992.0)
        .contains(&number)
        .then_some(number as u64)
}

fn read_capabilities(value: Value) -> Result<Vec<String>, ApiError> {
    let declared: Vec<String> = body::from_value(value)?;
    let fits = declared.len() <= MAX_CAPABILITIES && declared.iter().all(|word| word.len() <= MAX_CAPABILITY);
    if fits {
        Ok(declared)
    } else {
        Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail("capabilities are at most 5 kinds of commands"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn beat(extra: &Value) -> Vec<u8> {
        let mut fields = json!({
            "plugin_id": "0198c0de-0000-7000-8000-000000000002",
            "merchant_id": "0198c0de-0000-7000-8000-000000000001",
            "plugin_version": "1.2.3", "env": {"node": "22"}, "errors_last_24h": 3, "webhook_fail_rate": 0.1,
            "uptime": 60, "timestamp": "2027-01-15T08:00:00Z",
        });
        fields
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        serde_json::to_vec(&fields).unwrap()
    }

    #[test]
    fn javascripts_ways_of_writing_are_understood() {
        let read = read(
            &beat(&json!({ "uptime": 12.75, "timestamp": 1_800_000_000_000_i64, "env": "production" })),
            NOW,
        )
        .unwrap()
        .heartbeat;
        assert_eq!((read.uptime, read.timestamp), (12, NOW));
        assert_eq!(read.env["name"], "production");
    }

    #[test]
    fn a_plugin_can_not_pose_as_an_agent() {
        let read = read(&beat(&json!({ "seq": 7, "installed": { "layout": "stub" } })), NOW)
            .unwrap()
            .heartbeat;
        assert_eq!((read.seq, read.installed), (None, None));
    }

    #[test]
    fn a_negative_uptime_is_refused_not_bent() {
        assert!(read(&beat(&json!({ "uptime": -1.5 })), NOW).is_err());
    }
}
