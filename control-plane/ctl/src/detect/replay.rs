//! `detect replay`: recorded heartbeats through the whole detection.

use std::io::{BufRead, BufWriter, Write};

use jiff::Timestamp;
use plugmend_shared::detect::{Detection, Observation, Prior, Replay, Settings};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::lines::{self, Line};

/// The longest id that is taken, in bytes.
const MAX_ID: usize = 256;

/// One recorded heartbeat. Ids are any text or number; what is missing or is no number counts as not sent; unknown
/// fields are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Recorded {
    timestamp: Value,
    plugin_id: Value,
    plugin_version: Value,
    env: Value,
    uptime: Value,
    window_s: Value,
    requests: Value,
    errors: Value,
    webhook_total: Value,
    webhook_failed: Value,
    latency_ms: Value,
    errors_last_24h: Value,
    webhook_fail_rate: Value,
}

/// Replays a recording; gives how many lines could not be read.
///
/// # Errors
/// When input or output fail.
pub fn run(mut input: impl BufRead, output: impl Write, tell: &mut impl FnMut(u64, u64, &str)) -> anyhow::Result<u64> {
    let mut output = BufWriter::new(output);
    let mut replay = Replay::new(Settings::default(), Prior::default());
    let (mut buffer, mut number, mut refused) = (Vec::new(), 0u64, 0u64);
    loop {
        let line = lines::next(&mut input, &mut buffer)?;
        number += 1;
        let taken = match line {
            Line::End => break,
            Line::TooLong => Err("is longer than 1 MiB".to_owned()),
            Line::Read if buffer.trim_ascii().is_empty() => continue,
            Line::Read => take(&buffer, &mut replay),
        };
        match taken {
            Ok((detections, notation)) => {
                for detection in &detections {
                    writeln!(output, "{}", told(detection, notation))?;
                }
            }
            Err(problem) => {
                tell(refused, number, &problem);
                refused += 1;
            }
        }
    }
    output.flush()?;
    Ok(refused)
}

/// How a recording writes times; detections follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Text,
    Seconds,
}

fn take(line: &[u8], replay: &mut Replay) -> Result<(Vec<Detection>, Notation), String> {
    let recorded: Recorded = serde_json::from_slice(line).map_err(|error| format!("is no heartbeat: {error}"))?;
    let plugin_id = name(&recorded.plugin_id).ok_or("has no plugin_id, or one over 256 bytes")?;
    let (at, notation) = time(&recorded.timestamp).ok_or("has no timestamp (RFC 3339, or seconds since 1970)")?;
    let platform = ["platform", "cms"]
        .iter()
        .find_map(|field| recorded.env.get(field))
        .and_then(name);
    let version = name(&recorded.plugin_version);
    let seen = Observation {
        at,
        window_s: count(&recorded.window_s).and_then(|seconds| u32::try_from(seconds).ok()),
        requests: count(&recorded.requests),
        errors: count(&recorded.errors),
        webhook_total: count(&recorded.webhook_total),
        webhook_failed: count(&recorded.webhook_failed),
        latency_ms: number(&recorded.latency_ms),
        errors_last_24h: count(&recorded.errors_last_24h),
        webhook_fail_rate: number(&recorded.webhook_fail_rate),
        version: version.as_deref().unwrap_or_default(),
        platform: platform.as_deref().unwrap_or_default(),
        uptime_s: count(&recorded.uptime),
    };
    Ok((replay.observe(&plugin_id, &seen), notation))
}

fn name(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (1..=MAX_ID).contains(&text.len()).then_some(text)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)
}

/// A count; some recorders write `3.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be in range"
)]
fn count(value: &Value) -> Option<u64> {
    let whole = number(value).filter(|number| *number <= 1e15);
    value.as_u64().or_else(|| whole.map(|number| number.round() as u64))
}

/// A moment in whole seconds since 1970.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
fn time(value: &Value) -> Option<(i64, Notation)> {
    if let Some(number) = value.as_f64() {
        // Counts of milliseconds are far beyond those of seconds.
        let seconds = if number.abs() > 1e11 { number / 1000.0 } else { number };
        return (seconds.abs() < 2.5e11).then(|| (seconds.floor() as i64, Notation::Seconds));
    }
    let text = value.as_str()?;
    let exact: Option<Timestamp> = text.parse().ok();
    // Without a zone, UTC is meant.
    let moment = exact.or_else(|| format!("{}Z", text.replacen(' ', "T", 1)).parse().ok())?;
    Some((moment.as_second(), Notation::Text))
}

fn told(detection: &Detection, notation: Notation) -> Value {
    let moment = |at: i64| match (notation, Timestamp::from_second(at)) {
        (Notation::Text, Ok(moment)) => Value::String(moment.to_string()),
        _ => Value::from(at),
    };
    match detection {
        Detection::Plugin { plugin_id, at, finding } => json!({
            "plugin_id": plugin_id,
            "detected_at": moment(*at),
            "incident_type": finding.incident_type,
            "severity": finding.severity,
            "confidence": round(finding.confidence),
            "evidence": finding.evidence,
        }),
        Detection::Release { at, release } => {
            let mut told = Map::new();
            told.insert("plugin_id".to_owned(), json!("*"));
            told.insert("detected_at".to_owned(), moment(*at));
            told.insert("incident_type".to_owned(), json!("bad_release"));
            told.insert("severity".to_owned(), json!("high"));
            told.insert("confidence".to_owned(), round(release.confidence));
            told.insert("version".to_owned(), json!(release.version));
            if let Some(platform) = &release.platform {
                told.insert("platform".to_owned(), json!(platform));
            }
            told.insert("plugins".to_owned(), json!(release.plugins));
            Value::Object(told)
        }
    }
}

fn round(confidence: f64) -> Value {
    json!((confidence * 1000.0).round() / 1000.0)
}
