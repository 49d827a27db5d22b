//! Numbers that come back from a database as they went in.

use serde_json::{Map, Number, Value};

/// A number with at most six decimals: written out and read back it is the same, whatever the writer's spelling, so a
/// replay computes with what the decision computed with. What is no number becomes zero.
pub fn round(value: f64) -> f64 {
    if !value.is_finite() {
        return 0.0;
    }
    let rounded = (value * 1e6).round() / 1e6;
    // Beyond 2^53 / 10^6 there is no such decimal left to lose.
    if rounded.is_finite() { rounded + 0.0 } else { value }
}

/// The same for every number in a JSON object, however deep.
pub fn round_map(map: &mut Map<String, Value>) {
    map.values_mut().for_each(round_value);
}

fn round_value(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().map(round).and_then(Number::from_f64);
            *value = rounded.map_or(Value::Null, Value::Number);
        }
        Value::Array(list) => list.iter_mut().for_each(round_value),
        Value::Object(map) => round_map(map),
        _ => {}
    }
}
