//! When to ask for the next certificate.
//!
//! The host's clock may be a day or a year off. What counts is therefore the time that has passed since the
//! certificate was received, measured against the control plane's clock as it stood then; where even that fails (the
//! clock was stepped in between), the control plane says `certificate_expired` and that is believed.

use jiff::{SignedDuration, Timestamp};

/// The shortest wait between two tries.
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait between two looks at the clock: a stepped clock is noticed within it.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// The dates of one certificate, and the two clocks when it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// When it ends, by the control plane's clock.
    pub not_after: Timestamp,
    /// When the next one should be asked for (two thirds of the lifetime), by the control plane's clock.
    pub renew_after: Timestamp,
    /// When it was received, by this host's clock.
    pub received_at: Timestamp,
    /// The control plane's clock at that moment.
    pub server_time: Timestamp,
}

/// The last try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTry {
    /// When, by this host's clock.
    pub at: Timestamp,
    /// How many failed in a row, this one included.
    pub failures: u32,
}

/// What to do about the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Ask for the next one.
    Now,
    /// Look again after this long, an hour at most.
    Later(SignedDuration),
}

/// Decides. `told_expired` is whether the control plane has called the certificate expired; `jitter`, 0 to 1, spreads
/// the fleet over the first quarter of what is left of the lifetime, and the tries after an outage.
pub fn due(lease: &Lease, now: Timestamp, last_try: Option<LastTry>, told_expired: bool, jitter: f64) -> Due {
    let jitter = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        0.0
    };
    if !told_expired {
        let left = until_start(lease, now, jitter);
        if left > SignedDuration::ZERO {
            return Due::Later(left.min(LONGEST_WAIT));
        }
    }
    match last_try.and_then(|last| still_to_wait(last, now, jitter)) {
        Some(wait) => Due::Later(wait),
        None => Due::Now,
    }
}

fn until_start(lease: &Lease, now: Timestamp, jitter: f64) -> SignedDuration {
    let offset = lease.server_time.duration_since(lease.received_at);
    let spread = lease
        .not_after
        .duration_since(lease.renew_after)
        .max(SignedDuration::ZERO)
        / 4;
    let spread = SignedDuration::try_from_secs_f64(spread.as_secs_f64() * jitter).unwrap_or(SignedDuration::ZERO);
    let start = lease.renew_after.duration_since(now).saturating_sub(offset);
    start.saturating_add(spread)
}

fn still_to_wait(last: LastTry, now: Timestamp, jitter: f64) -> Option<SignedDuration> {
    let since = now.duration_since(last.at);
    // A try in the future means that the clock was set back: forget it, or the wait would have no end.
    if since.is_negative() {
        return None;
    }
    let doublings = last.failures.saturating_sub(1).min(16);
    let full = FIRST_BACKOFF
        .checked_mul(1 << doublings)
        .unwrap_or(LONGEST_WAIT)
        .min(LONGEST_WAIT);
    let wait = SignedDuration::try_from_secs_f64(full.as_secs_f64() * (0.5 + jitter / 2.0)).unwrap_or(full);
    (since < wait).then(|| wait.saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY).unwrap()
    }

    /// Thirty days from day 0 by the control plane's clock, on a host whose clock is `skew` days ahead.
    fn lease(skew: i64) -> Lease {
        Lease {
            not_after: at(30),
            renew_after: at(20),
            received_at: at(skew),
            server_time: at(0),
        }
    }

    #[test]
    fn renewal_starts_at_two_thirds_of_the_lifetime() {
        assert!(matches!(due(&lease(0), at(19), None, false, 0.0), Due::Later(_)));
        assert_eq!(due(&lease(0), at(20), None, false, 0.0), Due::Now);
    }

    #[test]
    fn a_clock_that_was_wrong_all_along_changes_nothing() {
        for skew in [-365, -1, 1, 365] {
            assert!(matches!(
                due(&lease(skew), at(19 + skew), None, false, 0.0),
                Due::Later(_)
            ));
            assert_eq!(due(&lease(skew), at(20 + skew), None, false, 0.0), Due::Now, "{skew}");
        }
    }

    #[test]
    fn the_control_planes_word_that_it_expired_outweighs_the_clock() {
        assert_eq!(due(&lease(0), at(1), None, true, 0.0), Due::Now);
    }

    #[test]
    fn failed_tries_are_spaced_further_and_further_apart_up_to_an_hour() {
        let tried = |failures| {
            let last = LastTry { at: at(24), failures };
            match due(&lease(0), at(24), Some(last), false, 1.0) {
                Due::Later(wait) => wait.as_secs(),
                Due::Now => 0,
            }
        };
        assert_eq!([tried(1), tried(2), tried(3), tried(40)], [30, 60, 120, 3600]);
    }

    #[test]
    fn a_clock_set_back_does_not_make_the_wait_endless() {
        let last = LastTry {
            at: at(400),
            failures: 9,
        };
        assert_eq!(due(&lease(0), at(24), Some(last), false, 0.5), Due::Now);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_an_hour_or_shorter_than_nothing(
            now in -400_i64..800, skew in -400_i64..400, tried in -400_i64..800, failures in 0_u32..100,
            told in any::<bool>(), jitter in -1.0_f64..2.0,
        ) {
            let last = LastTry { at: at(tried), failures };
            if let Due::Later(wait) = due(&lease(skew), at(now), Some(last), told, jitter) {
                prop_assert!(wait > SignedDuration::ZERO && wait <= SignedDuration::from_hours(1));
            }
        }

        #[test]
        fn the_spread_ends_well_before_the_certificate(jitter in 0.0_f64..=1.0) {
            prop_assert_eq!(due(&lease(0), at(23), None, false, jitter), Due::Now);
        }
    }
}
