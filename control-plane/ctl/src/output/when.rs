//! Moments for people.

use jiff::Timestamp;
use plugmend_shared::clock::{Clock as _, SystemClock};
use serde_json::Value;

/// How long ago a moment was, in the largest unit that says something; what is to come is `in …`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let (n, unit) = match seconds.unsigned_abs() {
        n @ 0..=119 => (n, "s"),
        n @ 120..=7_199 => (n / 60, "min"),
        n @ 7_200..=172_799 => (n / 3_600, "h"),
        n => (n / 86_400, "days"),
    };
    if seconds < 0 {
        format!("in {n} {unit}")
    } else {
        format!("{n} {unit} ago")
    }
}

/// A field that holds a moment: `4 min ago`; as it stands where it can not be read, a dash where it is absent.
pub fn when(value: &Value, field: &str) -> String {
    match value.get(field).and_then(Value::as_str) {
        None => "-".to_owned(),
        Some(text) => text
            .parse()
            .map_or_else(|_| super::plain(text), |at| ago(at, SystemClock.now())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_the_unit_that_says_something() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| ago(Timestamp::from_second(1_800_000_000 - seconds).unwrap(), now);
        let told = [0, 119, 120, 7_199, 7_200, 172_799, 172_800, -90, -7_200].map(at);
        let wanted = [
            "0 s ago",
            "119 s ago",
            "2 min ago",
            "119 min ago",
            "2 h ago",
            "47 h ago",
            "2 days ago",
            "in 90 s",
            "in 2 h",
        ];
        assert_eq!(told, wanted);
    }
}
