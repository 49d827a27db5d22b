//! When an event is sent to its receiver again, and when a receiver is left in peace.

use jiff::SignedDuration;
use serde_json::Value;

/// How a receiver wants to be tried again (`retry_config`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first among them.
    pub max_attempts: u32,
    /// Seconds before the second try; each further pause is four times as long.
    pub first_s: u32,
    /// The longest pause, in seconds.
    pub longest_s: u32,
}

impl Default for RetryPolicy {
    /// Twelve tries over a day and a half.
    fn default() -> Self {
        Self {
            max_attempts: 12,
            first_s: 5,
            longest_s: 6 * 3600,
        }
    }
}

impl RetryPolicy {
    /// Reads `{max_attempts, initial_delay_s, max_delay_s}`; what is absent or makes no sense is as by default, what is
    /// out of range (50 tries, 1 s to a day) is brought into it.
    pub fn read(config: &Value) -> Self {
        let default = Self::default();
        let number = |name: &str, absent: u32, least: u32, most: u32| {
            let given = config.get(name).and_then(Value::as_u64);
            given.map_or(absent, |given| u32::try_from(given).unwrap_or(most).clamp(least, most))
        };
        let first_s = number("initial_delay_s", default.first_s, 1, 86_400);
        Self {
            max_attempts: number("max_attempts", default.max_attempts, 1, 50),
            first_s,
            longest_s: number("max_delay_s", default.longest_s, 1, 86_400).max(first_s),
        }
    }

    /// The pause after so many tries have failed; none when that was the last. A fifth of it is up to chance, so that
    /// what failed together does not come back together. `random` is any number.
    pub fn after(&self, attempts: u32, random: u32) -> Option<SignedDuration> {
        if attempts >= self.max_attempts {
            return None;
        }
        let factor = 4_u64.saturating_pow(attempts.saturating_sub(1));
        let pause = u64::from(self.first_s)
            .saturating_mul(factor)
            .min(self.longest_s.into());
        let spread = pause * 1000 / 5;
        let millis = pause * 1000 - spread + spread * u64::from(random) / u64::from(u32::MAX);
        Some(SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

/// So many failures in a row and a receiver rests.
pub const RESTS_FROM: u32 = 5;
const FIRST_REST_S: i64 = 30;
const LONGEST_REST_S: i64 = 1800;

/// How long a receiver is left in peace after so many failures in a row; then one delivery probes whether it is back.
pub fn rest(failures: u32) -> Option<SignedDuration> {
    let beyond = failures.checked_sub(RESTS_FROM)?;
    let seconds = FIRST_REST_S.saturating_mul(1 << beyond.min(10)).min(LONGEST_REST_S);
    Some(SignedDuration::from_secs(seconds))
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it (2xx).
    Taken {
        /// The answer's status.
        status: u16,
    },
    /// The receiver wants nothing more (410).
    Gone,
    /// It has not.
    Failed {
        /// The answer's status, when there was an answer.
        status: Option<u16>,
        /// In words, without secrets.
        why: String,
    },
}

impl Outcome {
    /// What an answer's status says. A redirect is a failure: where it leads has not been checked by anybody.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken { status },
            410 => Self::Gone,
            300..=399 => Self::Failed {
                status: Some(status),
                why: format!("answered {status}; redirects are not followed"),
            },
            _ => Self::Failed {
                status: Some(status),
                why: format!("answered {status}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_the_tries_end() {
        let policy = RetryPolicy::default();
        let pauses: Vec<i64> = (1..12).map(|n| policy.after(n, u32::MAX).unwrap().as_secs()).collect();
        assert_eq!(pauses[..5], [5, 20, 80, 320, 1280]);
        assert_eq!(pauses[10], 6 * 3600);
        assert_eq!(policy.after(12, 0), None);
        let total: i64 = pauses.iter().sum();
        assert!(total > 24 * 3600, "a receiver may be away for a day: {total}");
        assert_eq!(policy.after(1, 0).unwrap().as_millis(), 4000);
    }

    #[test]
    fn what_a_receiver_wishes_is_kept_within_bounds() {
        let wishes = json!({ "max_attempts": 1_000_000, "initial_delay_s": 0, "max_delay_s": "soon" });
        let policy = RetryPolicy::read(&wishes);
        assert_eq!(
            (policy.max_attempts, policy.first_s, policy.longest_s),
            (50, 1, 6 * 3600)
        );
        assert_eq!(RetryPolicy::read(&json!([])), RetryPolicy::default());
        let longer = RetryPolicy::read(&json!({ "initial_delay_s": 600, "max_delay_s": 5 }));
        assert_eq!((longer.first_s, longer.longest_s), (600, 600));
    }

    #[test]
    fn a_receiver_rests_after_failures_in_a_row_and_never_for_long() {
        assert_eq!(rest(4), None);
        assert_eq!(rest(5).unwrap().as_secs(), 30);
        assert_eq!(rest(6).unwrap().as_secs(), 60);
        assert_eq!(rest(u32::MAX).unwrap().as_secs(), 1800);
    }

    #[test]
    fn only_2xx_is_taken_and_redirects_are_not_followed() {
        assert_eq!(Outcome::of_status(204), Outcome::Taken { status: 204 });
        assert_eq!(Outcome::of_status(410), Outcome::Gone);
        for status in [100, 302, 400, 429, 500] {
            assert!(matches!(Outcome::of_status(status), Outcome::Failed { .. }), "{status}");
        }
    }
}
