//! What of a telemetry snapshot a decider may see, and what of it is kept for a replay.

use plugmend_shared::decide::round_map;
use serde_json::{Map, Value};

/// The deepest that is looked into.
const DEEPEST: usize = 4;
/// The most fields of one object and the most entries of one list.
const MOST: usize = 200;
/// The longest text, in bytes.
const LONGEST: usize = 500;
/// What stands in the place of what looks like a secret.
const HIDDEN: &str = "[redacted]";
/// Parts of names whose values are nobody's business.
const SECRET: [&str; 9] = [
    "secret",
    "token",
    "passw",
    "authorization",
    "cookie",
    "credential",
    "api_key",
    "apikey",
    "private",
];

/// The snapshot without what looks like a secret, within bounds, with numbers that survive being stored.
pub fn redact(snapshot: &Value) -> Map<String, Value> {
    let mut out = match snapshot {
        Value::Object(map) => object(map, 0),
        _ => Map::new(),
    };
    round_map(&mut out);
    out
}

fn object(map: &Map<String, Value>, depth: usize) -> Map<String, Value> {
    let kept = map.iter().take(MOST).map(|(name, value)| {
        let lower = name.to_ascii_lowercase();
        if SECRET.iter().any(|part| lower.contains(part)) {
            (cut(name), HIDDEN.into())
        } else {
            (cut(name), any(value, depth + 1))
        }
    });
    kept.collect()
}

fn any(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(_) | Value::Array(_) if depth > DEEPEST => Value::Null,
        Value::Object(map) => Value::Object(object(map, depth)),
        Value::Array(list) => list.iter().take(MOST).map(|value| any(value, depth + 1)).collect(),
        Value::String(text) => cut(text).into(),
        other => other.clone(),
    }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
        .to_owned()
}
