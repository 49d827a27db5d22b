//! One thing that a plugin said, whatever the notation it came in.

use thiserror::Error;

use super::window::MAX_COUNT;

/// The longest name of a metric, in bytes; leaves room for the suffixes that timers get in a window.
pub const MAX_NAME: usize = 90;
/// The longest text (a version, an error message, a name or value of the environment) that is kept, in bytes.
pub const MAX_TEXT: usize = 200;
/// The longest duration that is believed, in ms: one day.
pub(super) const MAX_MS: f64 = 86_400_000.0;

/// One thing that a plugin said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<'a> {
    /// Requests served, and how many of them failed.
    Requests {
        /// How many.
        served: u64,
        /// How many of them failed.
        failed: u64,
    },
    /// Errors outside of requests.
    Errors(u64),
    /// Webhook deliveries tried, and how many failed. A plugin may say the two apart.
    Webhooks {
        /// How many were tried.
        tried: u64,
        /// How many failed.
        failed: u64,
    },
    /// A request took `ms` milliseconds, `times` times (more than once when sampled).
    Latency {
        /// Milliseconds.
        ms: f64,
        /// How many requests this stands for.
        times: u64,
    },
    /// A counter with a name of its own.
    Count {
        /// Its name.
        name: &'a str,
        /// How much it grew.
        by: f64,
    },
    /// A gauge with a name of its own.
    Gauge {
        /// Its name.
        name: &'a str,
        /// Its value now.
        value: f64,
    },
    /// A timer or histogram with a name of its own.
    Timer {
        /// Its name.
        name: &'a str,
        /// The value measured.
        value: f64,
        /// How many measurements this stands for.
        times: u64,
    },
    /// A member of a set: how many different ones there were is counted.
    Member {
        /// The set's name.
        name: &'a str,
        /// The member.
        value: &'a str,
    },
    /// The version of the code that is running.
    Version(&'a str),
    /// Where it runs: `php` is `8.2.7`, say.
    Env {
        /// What.
        name: &'a str,
        /// Its version.
        value: &'a str,
    },
    /// The words of an error.
    Message(&'a str),
}

/// Why a line was not taken. None of it is sent on: the count of refused lines is.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not UTF-8.
    #[error("the line is not UTF-8")]
    NotText,
    /// Longer than a line may be.
    #[error("the line is too long")]
    TooLong,
    /// Not in the notation.
    #[error("the line is not in the notation: see the documentation of telemetry")]
    Malformed,
    /// A name with other characters than letters, digits, `_`, `.` and `-`, or too long.
    #[error(
        "the name of the metric is not made of letters, digits, '_', '.' and '-', or is longer than {MAX_NAME} bytes"
    )]
    BadName,
    /// NaN, infinity, or negative where it may not be.
    #[error("the value is not a finite number in its range")]
    BadValue,
    /// A kind of metric or event that is not known.
    #[error("this kind of metric or event is not known")]
    UnknownKind,
    /// A sample rate outside of (0, 1].
    #[error("the sample rate is not above 0 and at most 1")]
    BadRate,
}

/// Whether `name` may name a metric.
pub(super) fn check_name(name: &str) -> Result<&str, Refusal> {
    let fine = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if fine { Ok(name) } else { Err(Refusal::BadName) }
}

/// A count from a number that a plugin gave: finite, not negative, capped.
pub(super) fn to_count(value: f64) -> Result<u64, Refusal> {
    if !value.is_finite() || value < 0.0 {
        return Err(Refusal::BadValue);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; `as` saturates"
    )]
    let count = value.round() as u64;
    Ok(count.min(MAX_COUNT))
}

/// A duration in ms: finite, not negative, at most a day.
pub(super) fn to_ms(value: f64) -> Result<f64, Refusal> {
    if value.is_finite() && (0.0..=MAX_MS).contains(&value) {
        Ok(value)
    } else {
        Err(Refusal::BadValue)
    }
}

/// The beginning of `text`, at most [`MAX_TEXT`] bytes, cut at a character.
pub(super) fn short(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
