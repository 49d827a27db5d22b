//! Objects of the control plane, for people.

use serde_json::Value;

use super::{Lines, plain};

/// A field as text; a dash when it is absent.
pub fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => plain(text),
        // JSON escapes what controls a terminal, but not what turns the direction of writing.
        Some(other) => plain(&other.to_string()),
    }
}

/// An object for people: one line a field; what is absent is left out.
pub fn facts(value: &Value) -> String {
    let Value::Object(fields) = value else {
        return plain(&value.to_string());
    };
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    let mut out = Lines::default();
    for name in fields
        .keys()
        .filter(|name| fields.get(*name).is_some_and(|v| !v.is_null()))
    {
        out.add(format_args!("{name:width$}  {}", text(value, name)));
    }
    out.into()
}
