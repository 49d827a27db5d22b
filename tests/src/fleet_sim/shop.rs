//! One simulated shop: its load, its habits and its bad habits.

use super::rng::Rng;

/// A job that runs every night.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Second of the day at which it begins.
    pub second: i64,
    /// How long, in seconds.
    pub length: i64,
    /// Errors a minute while it runs.
    pub errors: f64,
    /// Latency while it runs, as a multiple.
    pub latency: f64,
}

/// What a shop is like when it is well.
#[derive(Debug, Clone)]
pub struct Shop {
    pub platform: usize,
    pub interval: i64,
    pub joined: i64,
    pub requests_a_minute: f64,
    pub phase: f64,
    pub day_swing: f64,
    pub weekend: f64,
    pub load_noise: f64,
    pub errors_a_request: f64,
    pub errors_an_hour: f64,
    pub error_noise: f64,
    pub error_sway: f64,
    pub webhooks_a_request: f64,
    pub webhook_failures: f64,
    pub webhook_noise: f64,
    pub latency_ms: f64,
    pub latency_slope: f64,
    pub latency_noise: f64,
    pub latency_sway: f64,
    pub restarts_a_day: f64,
    pub lost: f64,
    pub job: Option<Job>,
    pub bots_a_day: f64,
    pub says_counts: bool,
    pub says_latency: bool,
    pub says_webhooks: bool,
}

/// How wild the fleets are that are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Multiplies what scatters beyond chance.
    pub noise: f64,
    /// Whether intervals differ and fields are missing.
    pub mixed: bool,
    /// Share of shops that have a nightly job.
    pub jobs: f64,
}

impl Style {
    /// The style of a seed: they differ on purpose.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 77);
        Self {
            noise: rng.between(0.5, 1.4),
            mixed: rng.chance(0.5),
            jobs: rng.between(0.1, 0.4),
        }
    }
}

impl Shop {
    /// Draws a shop.
    pub fn draw(rng: &mut Rng, style: Style, start: i64, days: i64) -> Self {
        let interval = match rng.below(10) {
            0 if style.mixed => 60,
            1 if style.mixed => 300,
            _ => 120,
        };
        let late = rng.chance(0.1);
        let noise = style.noise;
        let job = rng.chance(style.jobs).then(|| Job {
            second: rng.between(0.0, 6.0 * 3600.0).round() as i64,
            length: rng.between(300.0, 1_500.0).round() as i64,
            errors: rng.lognormal(1.0, 0.6),
            latency: rng.between(1.0, 1.35),
        });
        Self {
            platform: rng.below(4),
            interval,
            joined: if late {
                start + rng.between(0.5, days as f64 * 0.6).mul_add(86_400.0, 0.0) as i64
            } else {
                start
            },
            requests_a_minute: rng.lognormal(14.0, 1.2).clamp(0.3, 500.0),
            phase: rng.between(0.0, 86_400.0),
            day_swing: rng.between(0.3, 0.9),
            weekend: rng.between(0.5, 1.3),
            load_noise: rng.between(0.1, 0.3) * noise,
            errors_a_request: rng.lognormal(0.005, 0.9).clamp(0.0002, 0.08),
            errors_an_hour: rng.lognormal(0.5, 1.0).clamp(0.0, 10.0),
            error_noise: rng.between(0.0, 0.5) * noise,
            error_sway: rng.between(0.0, 0.18) * noise,
            webhooks_a_request: rng.between(0.05, 0.4),
            webhook_failures: rng.lognormal(0.02, 0.9).clamp(0.001, 0.15),
            webhook_noise: rng.between(0.0, 0.4) * noise,
            latency_ms: rng.lognormal(140.0, 0.6),
            latency_slope: rng.between(0.0, 0.25),
            latency_noise: rng.between(0.4, 1.0),
            latency_sway: rng.between(0.01, 0.05) * noise,
            restarts_a_day: rng.between(0.1, 0.6),
            lost: rng.between(0.0, 0.03),
            job,
            bots_a_day: rng.between(0.0, 1.0),
            says_counts: !(style.mixed && rng.chance(0.02)),
            says_latency: !(style.mixed && rng.chance(0.08)),
            says_webhooks: !(style.mixed && rng.chance(0.08)),
        }
    }

    /// Load at a time, as a multiple of the mean.
    pub fn season(&self, at: i64) -> f64 {
        let second = at as f64 + self.phase;
        let day = 1.0 + self.day_swing * (std::f64::consts::TAU * second / 86_400.0).sin();
        let weekday = (second / 86_400.0).floor() as i64 % 7;
        day * if weekday >= 5 { self.weekend } else { 1.0 }
    }

    /// The job, when it runs at a time.
    pub fn job_at(&self, at: i64, jitter: i64) -> Option<Job> {
        self.job
            .filter(|job| (job.second + jitter..job.second + jitter + job.length).contains(&at.rem_euclid(86_400)))
    }
}
