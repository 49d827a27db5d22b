//! A fleet through its days: heartbeats in the order of their time, and the truth behind them.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    life::{Life, Sale},
    oracle,
    rng::Rng,
    shop::{Shop, Style},
    truth::{Illness, Kind, Release},
};

/// Names of platforms.
pub const PLATFORMS: [&str; 4] = ["woocommerce", "prestashop", "magento", "node"];
/// When simulated time begins: a Monday.
pub const START: i64 = 1_793_577_600;
pub(super) const DAY: i64 = 86_400;

/// How large a fleet.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seed of everything.
    pub seed: u64,
    /// Shops.
    pub plugins: usize,
    /// Days.
    pub days: i64,
}

/// One simulated heartbeat.
#[derive(Debug, Clone)]
pub struct Beat {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Whose, counted from 0.
    pub plugin: usize,
    /// What runs.
    pub version: String,
    /// Where.
    pub platform: &'static str,
    /// Seconds since it started.
    pub uptime: u64,
    /// Length of the window, in seconds; with the counts, absent for a poor heartbeat.
    pub window_s: Option<u32>,
    /// Requests served.
    pub requests: Option<u64>,
    /// Errors.
    pub errors: Option<u64>,
    /// Webhook deliveries tried.
    pub webhook_total: Option<u64>,
    /// And failed.
    pub webhook_failed: Option<u64>,
    /// Mean duration of a request, in ms.
    pub latency_ms: Option<f64>,
    /// Errors in the last 24 hours.
    pub errors_last_24h: u64,
    /// Share of webhooks that failed in the last hour.
    pub webhook_fail_rate: Option<f64>,
}

/// The fleet.
#[derive(Debug)]
pub struct World {
    pub(super) plan: Plan,
    pub(super) shops: Vec<Shop>,
    pub(super) lives: Vec<Life>,
    pub(super) oracles: Vec<oracle::Oracle>,
    pub(super) sales: Vec<Sale>,
    pub(super) queue: BinaryHeap<Reverse<(i64, usize)>>,
    /// What happens.
    pub illnesses: Vec<Illness>,
    /// What is released.
    pub releases: Vec<Release>,
}

/// What multiplies or shifts a shop's rates at a moment.
#[derive(Debug, Clone, Copy)]
struct Effect {
    errors: f64,
    webhooks: f64,
    latency: f64,
}

impl World {
    /// Draws a fleet and its fate.
    pub fn new(plan: Plan) -> Self {
        let style = Style::of(plan.seed);
        let mut fate = Rng::new(plan.seed, 1);
        let shops: Vec<Shop> = (0..plan.plugins)
            .map(|i| Shop::draw(&mut Rng::new(plan.seed, 1_000 + i as u64), style, START, plan.days))
            .collect();
        let end = START + plan.days * DAY;
        let sales = (0..2)
            .map(|_| {
                let from = START + (fate.between(1.5, plan.days as f64 - 0.5) * DAY as f64) as i64;
                Sale {
                    from,
                    to: from + fate.between(5_400.0, 18_000.0) as i64,
                    load: fate.between(3.0, 9.0),
                    share: fate.between(0.3, 0.7),
                }
            })
            .collect();
        let mut world = Self {
            lives: shops
                .iter()
                .enumerate()
                .map(|(i, shop)| Life::new(plan, i, shop, end))
                .collect(),
            plan,
            shops,
            oracles: Vec::new(),
            sales,
            queue: BinaryHeap::new(),
            illnesses: Vec::new(),
            releases: Vec::new(),
        };
        world.fall_ill(&mut fate, end);
        world.release(&mut fate, end);
        world.lives.iter_mut().for_each(|life| life.changes.sort());
        for (i, shop) in world.shops.iter().enumerate() {
            let phase = fate.below(usize::try_from(shop.interval).unwrap_or(1));
            world.queue.push(Reverse((shop.joined + phase as i64 + 1, i)));
        }
        world.oracles = world.illnesses.iter().map(|_| oracle::Oracle::default()).collect();
        world
    }

    /// The end of the recording.
    pub fn end(&self) -> i64 {
        START + self.plan.days * DAY
    }

    /// How long each plugin was there, in days.
    pub fn plugin_days(&self) -> f64 {
        self.shops
            .iter()
            .map(|shop| (self.end() - shop.joined) as f64 / DAY as f64)
            .sum()
    }

    /// The next heartbeat; `None` at the end.
    pub fn advance(&mut self) -> Option<Beat> {
        loop {
            let Reverse((at, plugin)) = self.queue.pop()?;
            if at >= self.end() {
                continue;
            }
            let interval = self.shops[plugin].interval;
            let life = &mut self.lives[plugin];
            let mut next = at + interval + (life.rng.normal() * 2.0) as i64;
            if at >= life.next_restart {
                let gap = life.rng.between(20.0, 290.0) as i64;
                next = at + interval + gap;
                life.started = next - life.rng.between(5.0, 60.0) as i64;
                let days = -life.rng.unit().ln() / self.shops[plugin].restarts_a_day;
                life.next_restart = at + (days * DAY as f64) as i64 + 600;
            }
            self.queue.push(Reverse((next.max(at + 1), plugin)));
            let silent = life.illnesses.iter().any(|i| {
                let illness = &self.illnesses[*i];
                illness.kind == Kind::Silence && (illness.from..illness.to).contains(&at)
            });
            if silent {
                self.note_silence(plugin, at);
                continue;
            }
            let beat = self.beat(plugin, at);
            if self.lives[plugin].rng.chance(self.shops[plugin].lost) {
                continue;
            }
            return Some(beat);
        }
    }

    fn note_silence(&mut self, plugin: usize, at: i64) {
        for i in self.lives[plugin].illnesses.clone() {
            let illness = &mut self.illnesses[i];
            if illness.kind == Kind::Silence && (illness.from..illness.to).contains(&at) {
                illness.oracle_beats += u32::from(illness.oracle_at.is_none());
                if at - illness.from >= 480 && illness.oracle_at.is_none() && illness.to - illness.from > 720 {
                    illness.oracle_at = Some(at);
                    // Silence needs no counting.
                    illness.oracle_nats = 1e3;
                }
            }
        }
    }

    fn effect(&self, plugin: usize, at: i64) -> Effect {
        let mut effect = Effect {
            errors: 1.0,
            webhooks: 0.0,
            latency: 1.0,
        };
        for i in &self.lives[plugin].illnesses {
            let illness = &self.illnesses[*i];
            if !(illness.from..illness.to).contains(&at) {
                continue;
            }
            let grown = (at - illness.from) as f64 / (illness.to - illness.from) as f64;
            match illness.kind {
                Kind::ErrorSpike => effect.errors *= illness.strength,
                Kind::WebhookStep => effect.webhooks += illness.strength,
                Kind::SlowDrift => effect.errors *= 1.0 + (illness.strength - 1.0) * grown,
                Kind::LatencyCreep if illness.of_release => effect.latency *= illness.strength,
                Kind::LatencyCreep => effect.latency *= 1.0 + (illness.strength - 1.0) * grown,
                Kind::Silence => {}
            }
        }
        effect
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one window drawn from top to bottom; its parts share all their numbers"
    )]
    fn beat(&mut self, plugin: usize, at: i64) -> Beat {
        let effect = self.effect(plugin, at);
        let shop = &self.shops[plugin];
        let sale = self.sales.iter().enumerate().find(|(i, sale)| {
            (sale.from..sale.to).contains(&at) && ((plugin * 7_919 + i * 104_729) % 1_000) as f64 / 1_000.0 < sale.share
        });
        let life = &mut self.lives[plugin];
        while life.changes.first().is_some_and(|change| change.0 <= at) {
            life.version = life.changes.remove(0).1;
            life.started = at - 5;
        }
        let window = (at - life.last)
            .clamp(1, shop.interval * 2)
            .min((at - life.started).max(1)) as f64;
        let since = at - life.last;
        life.last = at;
        let own_sale = life
            .sale
            .filter(|sale| (sale.from..sale.to).contains(&at))
            .map(|sale| sale.load);
        let load = sale.map_or(1.0, |(_, sale)| sale.load) * own_sale.unwrap_or(1.0);
        if life.rng.chance(shop.bots_a_day * since as f64 / DAY as f64) {
            life.bots_until = at + life.rng.between(600.0, 3_600.0) as i64;
        }
        let bots = if at < life.bots_until { 1.0 } else { 0.0 };
        let keep = (-(since as f64) / 5_400.0).exp();
        let shake = (1.0 - keep * keep).sqrt();
        life.error_sway = keep * life.error_sway + shake * shop.error_sway * life.rng.normal();
        life.latency_sway = keep * life.latency_sway + shake * shop.latency_sway * life.rng.normal();
        if at.rem_euclid(DAY) < shop.interval {
            life.job_jitter = life.rng.between(-240.0, 240.0) as i64;
        }
        let job = shop.job_at(at, life.job_jitter.max(0));
        let minutes = window / 60.0;
        let mean = shop.requests_a_minute * minutes * shop.season(at) * load;
        let shaken = life.rng.gamma(shop.load_noise);
        let humans = life.rng.poisson(mean * shaken);
        let crawled = life.rng.poisson(bots * shop.requests_a_minute.max(2.0) * minutes);
        let requests = humans + crawled;
        let cold = if at - life.started < 180 { 1.0 } else { 0.0 };
        let stress = 1.0 + 0.15 * (load - 1.0).min(4.0) / 4.0;
        let rate = shop.errors_a_request * humans as f64 * stress
            + shop.errors_an_hour * minutes / 60.0
            + shop.errors_a_request * 1.5 * crawled as f64;
        let well = rate * life.error_sway.exp() * (1.0 + 2.0 * cold) + job.map_or(0.0, |job| job.errors * minutes);
        let noise = life.rng.gamma(shop.error_noise);
        let errors = life.rng.poisson((well + rate * (effect.errors - 1.0)) * noise);
        let total = life.rng.poisson(shop.webhooks_a_request * humans as f64);
        let usual = shop.webhook_failures;
        let flaky = (usual * life.rng.gamma(shop.webhook_noise)).min(0.5);
        let failed = life.rng.binomial(total, (flaky + effect.webhooks).min(0.99));
        let rpm = requests as f64 / minutes;
        let well_latency = shop.latency_ms.ln()
            + shop.latency_slope * (1.0 + rpm).ln()
            + life.latency_sway
            + 0.4 * cold
            + job.map_or(0.0, |job| job.latency.ln());
        let spread = shop.latency_noise / (requests.max(1) as f64).sqrt();
        let latency = well_latency + effect.latency.ln() + spread.min(0.5) * life.rng.normal();
        let facts = oracle::Facts {
            errors: errors as f64,
            well: well - rate * (life.error_sway.exp() - 1.0) * (1.0 + 2.0 * cold),
            ill: well - rate * (life.error_sway.exp() - 1.0) * (1.0 + 2.0 * cold) + rate * (effect.errors - 1.0),
            failed: failed as f64,
            total: total as f64,
            usual,
            share: (usual + effect.webhooks).min(0.99),
            latency: if requests > 0 {
                latency - well_latency + life.latency_sway
            } else {
                0.0
            },
            shift: if requests > 0 { effect.latency.ln() } else { 0.0 },
            latency_variance: spread.powi(2).min(0.25) + shop.latency_sway.powi(2) * 40.0,
            noise: shop.error_noise.powi(2) + shop.error_sway.powi(2) * 2.0 * 5_400.0 / shop.interval as f64,
        };
        life.count(at, since, errors, total, failed);
        let beat = Beat {
            at,
            plugin,
            version: life.version.clone(),
            platform: PLATFORMS[shop.platform],
            uptime: u64::try_from(at - life.started).unwrap_or(0),
            window_s: shop.says_counts.then_some(window as u32),
            requests: shop.says_counts.then_some(requests),
            errors: shop.says_counts.then_some(errors),
            webhook_total: (shop.says_counts && shop.says_webhooks).then_some(total),
            webhook_failed: (shop.says_counts && shop.says_webhooks).then_some(failed),
            latency_ms: (shop.says_latency && shop.says_counts && requests > 0).then(|| latency.exp()),
            errors_last_24h: life.hours.iter().sum(),
            webhook_fail_rate: life.webhook_rate(),
        };
        let says = [
            shop.says_counts,
            shop.says_counts && shop.says_webhooks,
            shop.says_counts && shop.says_latency,
        ];
        for i in self.lives[plugin].illnesses.clone() {
            let illness = &mut self.illnesses[i];
            if (illness.from..illness.to).contains(&at) {
                self.oracles[i].look(illness, &facts, at, says);
            }
        }
        beat
    }
}
