//! What will happen to a simulated fleet: illnesses and releases.

use super::{
    rng::Rng,
    truth::{Illness, Kind, Release},
    world::{DAY, PLATFORMS, START, World},
};

impl World {
    /// Draws the illnesses of single plugins.
    pub(super) fn fall_ill(&mut self, fate: &mut Rng, end: i64) {
        for plugin in 0..self.shops.len() {
            if !fate.chance(0.04 * self.plan.days as f64) {
                continue;
            }
            let kind = Kind::ALL[fate.below(5)];
            let joined = self.shops[plugin].joined;
            let from = joined + (fate.between(1.2, self.plan.days as f64 - 0.6) * DAY as f64) as i64;
            let (hours, strength) = match kind {
                Kind::ErrorSpike => (fate.between(1.0, 6.0), fate.between(3.0, 20.0)),
                Kind::WebhookStep => (fate.between(2.0, 12.0), fate.between(0.1, 0.8)),
                Kind::Silence => (fate.between(0.3, 5.0), 0.0),
                Kind::LatencyCreep => (fate.between(12.0, 36.0), fate.between(1.4, 2.5)),
                Kind::SlowDrift => (fate.between(30.0, 72.0), fate.between(3.0, 8.0)),
            };
            if from < end - 7_200 {
                self.put(
                    plugin,
                    kind,
                    from,
                    (from + (hours * 3600.0) as i64).min(end),
                    strength,
                    false,
                );
            }
        }
    }

    fn put(&mut self, plugin: usize, kind: Kind, from: i64, to: i64, strength: f64, of_release: bool) {
        self.lives[plugin].illnesses.push(self.illnesses.len());
        self.illnesses.push(Illness {
            plugin,
            kind,
            from,
            to,
            strength,
            oracle_at: None,
            oracle_beats: 0,
            oracle_nats: 0.0,
            of_release,
        });
    }

    /// Draws the releases, good and bad, and whom they reach.
    pub(super) fn release(&mut self, fate: &mut Rng, end: i64) {
        let count = usize::try_from(self.plan.days / 2)
            .unwrap_or(1)
            .saturating_sub(1)
            .max(1);
        for number in 1..=count {
            let from = START + (2 * number as i64) * DAY + (fate.between(0.0, 0.9) * DAY as f64) as i64;
            let bad = if number % 2 == 0 || count == 1 {
                Some(
                    [
                        Kind::ErrorSpike,
                        Kind::WebhookStep,
                        Kind::ErrorSpike,
                        Kind::LatencyCreep,
                    ][fate.below(4)],
                )
            } else {
                None
            };
            let version = format!("1.{number}.0");
            let only = fate.chance(0.4).then(|| fate.below(PLATFORMS.len()));
            let (spread, share) = (fate.between(4.0, 16.0) * 3600.0, fate.between(0.35, 0.7));
            let strength = match bad {
                Some(Kind::WebhookStep) => fate.between(0.15, 0.5),
                Some(Kind::LatencyCreep) => fate.between(1.4, 1.9),
                _ => fate.between(2.5, 6.0),
            };
            let mut hit = 0;
            for plugin in 0..self.shops.len() {
                if self.shops[plugin].joined > from - DAY || !fate.chance(share) {
                    continue;
                }
                let at = from + (fate.unit() * spread) as i64;
                if self.lives[plugin].changes.iter().any(|change| change.0 > at - DAY) {
                    continue; // still under the release before
                }
                let ill = |illness: &&Illness| {
                    illness.plugin == plugin && illness.from < at + 2 * DAY && illness.to > at - DAY
                };
                if self.illnesses.iter().any(|illness| ill(&illness)) {
                    continue; // nobody updates a plugin that is ill, and one cause at a time keeps the truth clear
                }
                let before = self.lives[plugin]
                    .changes
                    .last()
                    .map_or_else(|| "1.0.0".to_owned(), |c| c.1.clone());
                self.lives[plugin].changes.push((at, version.clone()));
                let is_hit = only.is_none_or(|platform| platform == self.shops[plugin].platform);
                if let Some(kind) = bad.filter(|_| is_hit && at < end) {
                    let back = (at + (fate.between(20.0, 30.0) * 3600.0) as i64).min(end);
                    self.put(plugin, kind, at, back, strength * fate.between(0.8, 1.2), true);
                    self.lives[plugin].changes.push((back, before));
                    hit += 1;
                }
            }
            self.releases.push(Release {
                version,
                platform: bad.and(only).map(|platform| PLATFORMS[platform].to_owned()),
                from,
                bad,
                hit,
            });
        }
    }
}
