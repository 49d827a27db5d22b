//! What changes in a simulated shop over time.

use super::{
    rng::Rng,
    shop::Shop,
    world::{DAY, Plan},
};

/// A time in which one or many shops sell much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sale {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) load: f64,
    pub(super) share: f64,
}

/// What changes in a shop over time.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) rng: Rng,
    pub(super) version: String,
    pub(super) changes: Vec<(i64, String)>,
    pub(super) started: i64,
    pub(super) last: i64,
    pub(super) next_restart: i64,
    pub(super) bots_until: i64,
    pub(super) error_sway: f64,
    pub(super) latency_sway: f64,
    pub(super) sale: Option<Sale>,
    pub(super) job_jitter: i64,
    pub(super) hours: [u64; 25],
    pub(super) tens: [(u64, u64); 7],
    pub(super) illnesses: Vec<usize>,
}

impl Life {
    /// A life that begins.
    pub(super) fn new(plan: Plan, plugin: usize, shop: &Shop, end: i64) -> Self {
        let mut rng = Rng::new(plan.seed, 1_000_000 + plugin as u64);
        let sale = rng.chance(0.25).then(|| {
            let from = shop.joined + (rng.between(1.5, plan.days as f64) * DAY as f64) as i64;
            Sale {
                from,
                to: (from + rng.between(3_600.0, 14_400.0) as i64).min(end),
                load: rng.between(3.0, 15.0),
                share: 1.0,
            }
        });
        Self {
            version: "1.0.0".to_owned(),
            changes: Vec::new(),
            started: shop.joined - rng.between(0.0, 3.0 * DAY as f64) as i64,
            last: shop.joined,
            next_restart: shop.joined + (rng.between(0.1, 3.0) * DAY as f64) as i64,
            bots_until: 0,
            error_sway: 0.0,
            latency_sway: 0.0,
            sale,
            job_jitter: 0,
            hours: [0; 25],
            tens: [(0, 0); 7],
            illnesses: Vec::new(),
            rng,
        }
    }

    /// Keeps the last 24 hours and the last hour.
    pub(super) fn count(&mut self, at: i64, since: i64, errors: u64, total: u64, failed: u64) {
        let slot =
            |length: i64, n: i64, moment: i64| usize::try_from(moment.div_euclid(length).rem_euclid(n)).unwrap_or(0);
        let before = at - since;
        for step in 1..=((at / 3600) - (before / 3600)).min(25) {
            self.hours[slot(3600, 25, (before / 3600 + step) * 3600)] = 0;
        }
        for step in 1..=((at / 600) - (before / 600)).min(7) {
            self.tens[slot(600, 7, (before / 600 + step) * 600)] = (0, 0);
        }
        self.hours[slot(3600, 25, at)] += errors;
        let ten = &mut self.tens[slot(600, 7, at)];
        *ten = (ten.0 + total, ten.1 + failed);
    }

    /// Share of webhooks that failed in about the last hour.
    pub(super) fn webhook_rate(&self) -> Option<f64> {
        let (total, failed) = self.tens.iter().fold((0, 0), |sum, ten| (sum.0 + ten.0, sum.1 + ten.1));
        (total > 0).then(|| failed as f64 / total as f64)
    }
}
