//! Any other metric, value by value: how surprising each is, given those before it.
//!
//! Three forecasts run side by side (the last value, a moving mean, the mean of this quarter of an hour of the day) and
//! the one that has been best lately is asked. Its residual is judged by the tail of the residuals seen so far, and a
//! second statistic compares the last values with many before them, so that a slow drift shows as well. What follows a
//! surprise surprises less for a while. Constant memory and time; nothing ahead is looked at.

/// Quarters of an hour in a day.
const BINS: usize = 96;
const DAY_S: i64 = 86_400;
/// No score before so many values.
const FIRST: u32 = 60;
/// Weights of a new value: in what changes fast, in means, in scales.
const FAST: f64 = 0.08;
const SLOW: f64 = 0.004;
const SCALE: f64 = 0.005;
const BIN: f64 = 0.25;
/// The tail of a statistic begins at so many mean deviations.
const TAIL: f64 = 2.5;
/// No value is more surprising than one in ten to this power.
const MOST: f64 = 12.0;
/// What is left of the last surprise after one value, and how much of it is taken off.
const FADE: f64 = 0.985;
const DAMP: f64 = 0.75;

/// What is remembered of one metric.
#[derive(Debug, Clone)]
pub struct Series {
    seen: u32,
    last: f64,
    fast: f64,
    slow: f64,
    bins: [f64; BINS],
    bin_seen: [u16; BINS],
    /// Mean absolute errors of the three forecasts.
    errors: [f64; 3],
    residuals: Tail,
    drifts: Tail,
    /// Mean absolute step between values; keeps scales above zero.
    step: f64,
    recent: f64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            seen: 0,
            last: 0.0,
            fast: 0.0,
            slow: 0.0,
            bins: [0.0; BINS],
            bin_seen: [0; BINS],
            errors: [0.0; 3],
            residuals: Tail::default(),
            drifts: Tail::default(),
            step: 0.0,
            recent: 0.0,
        }
    }
}

/// A statistic's scale and the weight and length of its tail.
#[derive(Debug, Clone, Copy)]
struct Tail {
    scale: f64,
    share: f64,
    length: f64,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            scale: 0.0,
            share: 0.03,
            length: 1.0,
        }
    }
}

impl Tail {
    /// How surprising a deviation is: minus the logarithm, to base ten, of how often one as large is expected.
    fn surprise(&self, deviation: f64, least: f64) -> f64 {
        let beyond = deviation / self.scale.max(least) - TAIL;
        if beyond <= 0.0 {
            return 0.0;
        }
        (beyond / self.length / std::f64::consts::LN_10 - self.share.log10()).clamp(0.0, MOST)
    }

    fn learn(&mut self, deviation: f64, least: f64, weight: f64) {
        let scale = self.scale.max(least);
        let beyond = deviation / scale - TAIL;
        let outside = if beyond > 0.0 { 1.0 } else { 0.0 };
        self.share += SCALE * (outside - self.share);
        self.share = self.share.max(1e-4);
        if beyond > 0.0 {
            self.length += 0.05 * (beyond.min(12.0) - self.length);
            self.length = self.length.max(0.3);
        }
        self.scale += weight * (deviation.min(scale * 8.0) - self.scale);
    }
}

impl Series {
    /// Takes the next value and scores it from 0 (as expected) to 1. `at` is any count of seconds whose days begin at
    /// multiples of 86,400; without it there is no season. What is no number scores 0 and is not remembered.
    pub fn score(&mut self, at: Option<i64>, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        let bin = at.and_then(|at| usize::try_from(at.rem_euclid(DAY_S) * 96 / DAY_S).ok());
        if self.seen == 0 {
            (self.last, self.fast, self.slow) = (value, value, value);
        }
        self.seen = self.seen.saturating_add(1);
        let least = self.least();
        let forecasts = [Some(self.last), Some(self.fast), self.season(bin)];
        let best = (0..3)
            .filter(|i| forecasts.get(*i).is_some_and(Option::is_some))
            .min_by(|a, b| {
                self.errors
                    .get(*a)
                    .unwrap_or(&0.0)
                    .total_cmp(self.errors.get(*b).unwrap_or(&0.0))
            });
        let forecast = best
            .and_then(|i| forecasts.get(i).copied().flatten())
            .unwrap_or(self.last);
        let residual = (value - forecast).abs();
        let drift = (self.fast + FAST * (value - self.fast) - self.level(bin)).abs();
        let surprise = self
            .residuals
            .surprise(residual, least)
            .max(self.drifts.surprise(drift, least));
        let weight = SCALE.max(1.0 / f64::from(self.seen));
        self.residuals.learn(residual, least, weight);
        self.drifts.learn(drift, least, weight);
        self.learn(bin, value, forecasts, weight);
        self.tell(surprise)
    }

    /// What the last values are compared with: the season where there is one, a long mean elsewhere.
    fn level(&self, bin: Option<usize>) -> f64 {
        let seasonal = self.errors[2] < self.errors[1];
        self.season(bin).filter(|_| seasonal).unwrap_or(self.slow)
    }

    fn season(&self, bin: Option<usize>) -> Option<f64> {
        let bin = bin.filter(|bin| self.bin_seen.get(*bin).is_some_and(|seen| *seen >= 3))?;
        self.bins.get(bin).copied()
    }

    fn least(&self) -> f64 {
        (self.step * 0.05).max(self.slow.abs() * 1e-4).max(1e-9)
    }

    fn learn(&mut self, bin: Option<usize>, value: f64, forecasts: [Option<f64>; 3], weight: f64) {
        for (error, forecast) in self.errors.iter_mut().zip(forecasts) {
            if let Some(forecast) = forecast {
                *error += weight * ((value - forecast).abs() - *error);
            }
        }
        self.step += weight * ((value - self.last).abs() - self.step);
        self.last = value;
        self.fast += FAST * (value - self.fast);
        self.slow += SLOW.max(1.0 / f64::from(self.seen)) * (value - self.slow);
        let Some(bin) = bin else {
            return;
        };
        if let (Some(mean), Some(seen)) = (self.bins.get_mut(bin), self.bin_seen.get_mut(bin)) {
            *seen = seen.saturating_add(1);
            *mean += BIN.max(1.0 / f64::from(*seen)) * (value - *mean);
        }
    }

    /// A surprise after a surprise tells less; the answer lies between 0 and 1.
    fn tell(&mut self, surprise: f64) -> f64 {
        let told = (surprise - DAMP * self.recent).max(0.0);
        self.recent = (self.recent * FADE).max(surprise);
        if self.seen <= FIRST {
            return 0.0;
        }
        1.0 - 10f64.powf(-told / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(values: &[f64]) -> Vec<f64> {
        let mut series = Series::default();
        values
            .iter()
            .zip(0i64..)
            .map(|(value, i)| series.score(Some(i * 300), *value))
            .collect()
    }

    #[test]
    fn a_jump_out_of_a_steady_course_is_what_stands_out() {
        let mut values: Vec<f64> = (0..2_000).map(|i| 100.0 + f64::from(i * 37 % 11)).collect();
        values[1_500] = 200.0;
        let scores = scores(&values);
        let most = scores.iter().copied().fold(0.0, f64::max);
        assert!((scores[1_500] - most).abs() < 1e-12 && most > 0.9, "{most}");
    }

    #[test]
    fn a_day_that_repeats_does_not_surprise() {
        let day = |i: i32| 50.0 + 40.0 * (f64::from(i % 288) / 288.0 * std::f64::consts::TAU).sin();
        let values: Vec<f64> = (0..288 * 14).map(day).collect();
        let late = scores(&values).split_off(288 * 5);
        assert!(
            late.iter().all(|score| *score < 0.9),
            "{:?}",
            late.iter().copied().fold(0.0, f64::max)
        );
    }

    #[test]
    fn what_is_no_number_scores_nothing_and_is_forgotten() {
        let mut with = Series::default();
        let mut without = Series::default();
        for i in 0..200 {
            let value = f64::from(i % 7);
            assert!((with.score(None, value) - without.score(None, value)).abs() < 1e-12);
            assert!(with.score(None, f64::NAN).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn every_score_is_between_zero_and_one_and_never_looks_ahead(
            values in prop::collection::vec(-1e12f64..1e12, 1..400),
            cut in 0usize..400,
        ) {
            let whole = scores(&values);
            prop_assert!(whole.iter().all(|score| (0.0..=1.0).contains(score)));
            let cut = cut.min(values.len());
            prop_assert_eq!(&scores(&values[..cut])[..], &whole[..cut]);
        }
    }
}
