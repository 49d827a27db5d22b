//! The circuit breaker: who fails several times in a row is left in peace for a while, then asked once.
//!
//! ```text
//! closed --(5 failures in a row)--> open --(its pause is over)--> trial --(an answer)--> closed
//!                                    ^------------(a failure: twice the pause)-----|
//! ```

use jiff::{SignedDuration, Timestamp};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// The first pause.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);
/// How long a trial is waited for before another may begin: its asker may be gone.
const TRIAL: SignedDuration = SignedDuration::from_secs(60);

/// Whether to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// All is well.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// Not to be asked.
    Open {
        /// Since when.
        since: Timestamp,
        /// For how long.
        pause: SignedDuration,
    },
    /// Asked once, to see.
    Trial {
        /// Since when.
        since: Timestamp,
        /// The pause before.
        pause: SignedDuration,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether to ask now, and how it stands then.
    #[must_use]
    pub fn ask(self, now: Timestamp) -> (Self, bool) {
        let over = |since: Timestamp, pause: SignedDuration| {
            let passed = now.duration_since(since);
            // A clock that was set back does not prolong a pause.
            passed >= pause || passed.is_negative()
        };
        match self {
            Self::Closed { .. } => (self, true),
            Self::Open { since, pause } if over(since, pause) => (Self::Trial { since: now, pause }, true),
            Self::Trial { since, pause } if over(since, TRIAL) => (Self::Trial { since: now, pause }, true),
            Self::Open { .. } | Self::Trial { .. } => (self, false),
        }
    }

    /// After an answer.
    #[must_use]
    pub fn answered(self) -> Self {
        Self::default()
    }

    /// After a failure.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Self {
        match self {
            Self::Closed { failures } if failures + 1 < FAILURES => Self::Closed { failures: failures + 1 },
            Self::Closed { .. } => Self::Open {
                since: now,
                pause: PAUSE,
            },
            Self::Trial { pause, .. } => Self::Open {
                since: now,
                pause: (pause * 2).min(LONGEST),
            },
            // Asked before it opened.
            Self::Open { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn opened() -> Breaker {
        (0..FAILURES).fold(Breaker::default(), |breaker, _| breaker.failed(at(0)))
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_does_not() {
        let almost = (1..FAILURES).fold(Breaker::default(), |breaker, _| breaker.failed(at(0)));
        assert!(almost.ask(at(0)).1);
        assert_eq!(almost.answered().failed(at(0)), Breaker::Closed { failures: 1 });
        assert!(!almost.failed(at(0)).ask(at(1)).1);
    }

    #[test]
    fn after_its_pause_one_is_let_through_and_decides() {
        let (trial, may) = opened().ask(at(30));
        assert!(may);
        assert!(!trial.ask(at(31)).1, "one at a time");
        assert_eq!(trial.answered(), Breaker::default());
        let again = trial.failed(at(31));
        assert!(!again.ask(at(31 + 59)).1, "the pause has doubled");
        assert!(again.ask(at(31 + 60)).1);
    }

    #[test]
    fn a_trial_whose_asker_is_gone_does_not_close_it_for_ever() {
        let (trial, _) = opened().ask(at(30));
        assert!(trial.ask(at(30 + 60)).1);
    }

    proptest! {
        #[test]
        fn it_never_stays_shut_longer_than_the_longest_pause(
            moves in proptest::collection::vec((0..3u8, 0..2000i64), 0..100)
        ) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (what, wait) in moves {
                now += wait;
                breaker = match what {
                    0 => breaker.failed(at(now)),
                    1 => breaker.answered(),
                    _ => breaker.ask(at(now)).0,
                };
                prop_assert!(breaker.ask(at(now + 600)).1);
                prop_assert!(breaker.ask(at(-1_000_000)).1, "a clock set back");
            }
        }
    }
}
