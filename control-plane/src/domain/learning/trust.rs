//! Whether a decider does better than the rules, which would have asked people.
//!
//! A cure that works is worth 1, one that does not costs 1, and asking people is worth 0.2 (the utilities that the
//! built-in model decides by): to act beats to ask when more than 60 % of the cures work. A decider is demoted when its
//! record says, with one-sided 95 % confidence (the upper end of Wilson's interval), that fewer do.

use serde::Serialize;

use super::Forecast;

/// The share of cures that must work for acting to beat asking: `2 p - 1 = 0.2`.
const BREAK_EVEN: f64 = 0.6;
/// With fewer outcomes nobody is judged.
const FEWEST: usize = 10;
/// The most outcomes that are judged, the latest.
pub const MOST_JUDGED: usize = 100;
/// The 95 % point of the normal distribution.
const Z: f64 = 1.645;

/// What a record says of a decider.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Trust {
    /// Too few outcomes to say.
    TooFew {
        /// How many there are.
        outcomes: usize,
    },
    /// It does not do worse than the rules, as far as can be said.
    Kept {
        /// How many outcomes were judged.
        outcomes: usize,
        /// The share that worked.
        worked: f64,
        /// The most that it can really be.
        at_most: f64,
    },
    /// It does worse.
    Worse {
        /// How many outcomes were judged.
        outcomes: usize,
        /// The share that worked.
        worked: f64,
        /// The most that it can really be.
        at_most: f64,
    },
}

/// Judges a decider by its latest outcomes.
pub fn judge(forecasts: &[Forecast]) -> Trust {
    let outcomes = forecasts.len();
    if outcomes < FEWEST {
        return Trust::TooFew { outcomes };
    }
    #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
    let n = outcomes as f64;
    let worked = forecasts.iter().map(|f| f64::from(u8::from(f.worked))).sum::<f64>() / n;
    let centre = worked + Z * Z / (2.0 * n);
    let spread = Z * (worked * (1.0 - worked) / n + Z * Z / (4.0 * n * n)).sqrt();
    let at_most = (centre + spread) / (1.0 + Z * Z / n);
    if at_most < BREAK_EVEN {
        Trust::Worse {
            outcomes,
            worked,
            at_most,
        }
    } else {
        Trust::Kept {
            outcomes,
            worked,
            at_most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(worked: usize, of: usize) -> Vec<Forecast> {
        let one = |n| Forecast {
            confidence: 0.9,
            worked: n < worked,
        };
        (0..of).map(one).collect()
    }

    #[test]
    fn a_few_failures_are_bad_luck_and_many_are_not() {
        assert_eq!(judge(&record(0, 9)), Trust::TooFew { outcomes: 9 });
        assert!(matches!(judge(&record(5, 10)), Trust::Kept { .. }));
        assert!(matches!(judge(&record(2, 10)), Trust::Worse { .. }));
        assert!(matches!(judge(&record(40, 100)), Trust::Worse { .. }));
        assert!(matches!(judge(&record(95, 100)), Trust::Kept { .. }));
    }
}
