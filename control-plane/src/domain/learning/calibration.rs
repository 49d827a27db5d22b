//! Whether a probability that was said is the share that came true.

use serde::{Deserialize, Serialize};

/// How many equal parts the confidences are sorted into.
const BINS: usize = 10;

/// What was said of a cure, and whether it worked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// The probability that was said, 0 to 1.
    pub confidence: f64,
    /// Whether it worked.
    pub worked: bool,
}

/// How well what was said holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Calibration {
    /// How many outcomes it rests on.
    pub outcomes: usize,
    /// The share that worked.
    pub worked: f64,
    /// The mean of what was said.
    pub said: f64,
    /// The mean of the squared differences (Brier 1950): 0 is perfect, 0.25 is a coin.
    pub brier: f64,
    /// The expected calibration error: the difference between what was said and what came, weighed over ten bins.
    pub ece: f64,
    /// The bins that are not empty.
    pub bins: Vec<Bin>,
}

/// The outcomes of which about the same was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bin {
    /// From this confidence on.
    pub from: f64,
    /// Up to this one.
    pub to: f64,
    /// How many.
    pub outcomes: usize,
    /// The mean of what was said.
    pub said: f64,
    /// The share that worked.
    pub worked: f64,
}

/// Measures forecasts; `None` when there is none.
pub fn calibrate(forecasts: &[Forecast]) -> Option<Calibration> {
    let (worked, said) = shares(forecasts.iter())?;
    let all = count(forecasts.len());
    let brier = forecasts.iter().map(|f| (f.confidence - truth(f)).powi(2)).sum::<f64>() / all;
    let mut bins = Vec::new();
    for index in 0..BINS {
        let inside: Vec<_> = forecasts.iter().filter(|f| bin_of(f.confidence) == index).collect();
        if let Some((worked, said)) = shares(inside.iter().copied()) {
            bins.push(Bin {
                from: count(index) / count(BINS),
                to: count(index + 1) / count(BINS),
                outcomes: inside.len(),
                said,
                worked,
            });
        }
    }
    let ece = bins
        .iter()
        .map(|bin| count(bin.outcomes) / all * (bin.said - bin.worked).abs())
        .sum();
    Some(Calibration {
        outcomes: forecasts.len(),
        worked,
        said,
        brier,
        ece,
        bins,
    })
}

fn shares<'a>(forecasts: impl Iterator<Item = &'a Forecast> + Clone) -> Option<(f64, f64)> {
    let all = forecasts.clone().count();
    let worked = forecasts.clone().map(truth).sum::<f64>() / count(all);
    let said = forecasts.map(|f| f.confidence).sum::<f64>() / count(all);
    (all > 0).then_some((worked, said))
}

fn truth(forecast: &Forecast) -> f64 {
    f64::from(u8::from(forecast.worked))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of ten"
)]
fn bin_of(confidence: f64) -> usize {
    ((confidence.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bounded window")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(confidence: f64, worked: u32, of: u32) -> Vec<Forecast> {
        let one = |n| Forecast {
            confidence,
            worked: n < worked,
        };
        (0..of).map(one).collect()
    }

    #[test]
    fn who_says_what_comes_is_calibrated() {
        let honest = calibrate(&[said(0.8, 80, 100), said(0.3, 30, 100)].concat()).unwrap();
        assert!(honest.ece < 1e-9, "{honest:?}");
        assert!((honest.brier - 0.185).abs() < 1e-9);
        assert_eq!(honest.bins.len(), 2);
    }

    #[test]
    fn who_says_too_much_is_not() {
        let boaster = calibrate(&said(0.95, 50, 100)).unwrap();
        assert!((boaster.ece - 0.45).abs() < 1e-9);
        assert!(boaster.brier > 0.25, "worse than a coin");
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        assert_eq!(calibrate(&[]), None);
    }

    #[test]
    fn the_ends_have_their_bins() {
        let ends = calibrate(&[said(0.0, 0, 1), said(1.0, 1, 1)].concat()).unwrap();
        assert_eq!((ends.bins[0].from, ends.bins[1].to), (0.0, 1.0));
        assert!(ends.ece.abs() < f64::EPSILON);
    }
}
