//! One test: did failures become more frequent? It respects the counts: two failures of three requests prove less
//! than two hundred of three hundred.

/// Above this many events the normal curve is as good as the exact sum.
const EXACT_UP_TO: u64 = 100_000;
/// Steps of the continued fraction; it converges in about the square root of the larger parameter.
const MAX_STEPS: u32 = 2_000;

/// Probability that at least `after.0` of the failures fall into the later period if nothing changed. Given the total
/// of failures, their share in the later period is binomial with its share of the requests (Przyborowski and
/// Wilenski, Homogeneity of results in testing samples from Poisson series, Biometrika 31, 1940).
///
/// Each argument is `(failures, requests)`. Failures may be more than requests: a cron run fails beside them.
pub fn chance_of_more((failures, requests): (u64, u64), (failures_before, requests_before): (u64, u64)) -> f64 {
    let total = failures.saturating_add(failures_before);
    let exposure = to_f64(requests.max(failures).max(1));
    let before = to_f64(requests_before.max(failures_before));
    if failures == 0 {
        return 1.0;
    }
    binomial_tail(failures, total, exposure / (exposure + before))
}

/// Probability of at least `k` of `n` (k >= 1) at `p` each.
fn binomial_tail(k: u64, n: u64, p: f64) -> f64 {
    if p >= 1.0 {
        return 1.0;
    }
    let (kf, nf) = (to_f64(k), to_f64(n));
    if n > EXACT_UP_TO {
        let deviation = (kf - 0.5 - nf * p) / (nf * p * (1.0 - p)).sqrt();
        return normal_tail(deviation);
    }
    // P(X >= k) = I_p(k, n - k + 1), DLMF 8.17.5.
    incomplete_beta(p, kf, nf - kf + 1.0).clamp(0.0, 1.0)
}

/// The regularised incomplete beta function by its continued fraction (DLMF 8.17.22, Lentz's method).
#[expect(clippy::many_single_char_names, reason = "the names of the formula")]
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    // The fraction converges fast on this side only; the other by symmetry (DLMF 8.17.4).
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let tiny = 1e-300;
    let away_from_zero = |v: f64| if v.abs() < tiny { tiny } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut sum = d;
    for step in 1..MAX_STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        sum *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        sum *= c * d;
        if (c * d - 1.0).abs() < 1e-12 {
            break;
        }
    }
    front * sum
}

/// Stirling's series (DLMF 5.11.1), shifted to where five terms give twelve digits.
fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut z = x;
    while z < 15.0 {
        shift += z.ln();
        z += 1.0;
    }
    let series = 1.0 / (12.0 * z) - 1.0 / (360.0 * z.powi(3)) + 1.0 / (1260.0 * z.powi(5)) - 1.0 / (1680.0 * z.powi(7));
    (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

/// Upper tail of the standard normal distribution (Abramowitz and Stegun 26.2.17, error below 7.5e-8).
fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    poly * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts far beyond 2^53 are cut off at the door"
)]
fn to_f64(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 + b.abs() * 1e-6, "{a} is not {b}");
    }

    #[test]
    fn the_tail_is_the_sum_that_it_stands_for() {
        // 10 throws of a coin: at least 8 heads, (45 + 10 + 1) / 1024.
        close(binomial_tail(8, 10, 0.5), 56.0 / 1024.0);
        close(binomial_tail(1, 3, 0.1), 1.0 - 0.9_f64.powi(3));
        close(binomial_tail(5, 5, 0.2), 0.2_f64.powi(5));
    }

    #[test]
    fn few_counts_prove_little_and_many_prove_much() {
        assert!(chance_of_more((2, 3), (1, 3)) > 0.1);
        assert!(chance_of_more((200, 300), (100, 300)) < 1e-6);
        assert!(chance_of_more((5, 5), (0, 100)) < 1e-5);
        close(chance_of_more((0, 1_000), (50, 100)), 1.0);
    }

    #[test]
    fn exact_and_approximate_meet() {
        let (exact, near) = (binomial_tail(50_400, 100_000, 0.5), binomial_tail(50_401, 100_002, 0.5));
        assert!((exact - near).abs() < 1e-3, "{exact} {near}");
    }
}
