//! How well the product's detectors do on a simulated fleet.

use std::collections::BTreeMap;

use plugmend_shared::detect::{Detection, IncidentType, Observation, Prior, Replay, Settings};

use super::{
    truth::{Illness, Kind},
    world::{Beat, Plan, World},
};

/// Bars for the oracle, in nats, to see how far the figure hangs on the choice; the one in the middle counts.
pub const BARS: [f64; 3] = [8.0, 16.0, 32.0];
/// After its end an illness may still be found for so long, in seconds.
const GRACE_S: i64 = 2 * 3600;
/// Days in a month.
const MONTH: f64 = 30.0;

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Illnesses with enough evidence, by kind: how many, and how many of them were found.
    pub detectable: BTreeMap<Kind, [usize; 2]>,
    /// By the oracle's bar, as in [`BARS`]: how many illnesses had enough evidence, and how many of them were found.
    pub by_bar: [[usize; 2]; 3],
    /// Heartbeats to detection of those found, by kind, and of the oracle.
    pub beats: BTreeMap<Kind, [Vec<f64>; 2]>,
    /// Detections outside of any illness.
    pub false_alarms: Vec<(usize, i64, IncidentType, f64)>,
    /// Detections in all.
    pub detections: usize,
    /// Confidence of each detection and whether it was real.
    pub confidences: Vec<(f64, bool)>,
    /// Plugin-months observed.
    pub months: f64,
    /// Bad releases, and those found.
    pub bad_releases: [usize; 2],
    /// Good releases blamed.
    pub blamed: Vec<String>,
    /// Illnesses missed.
    pub missed: Vec<Illness>,
}

impl Score {
    /// Share of detectable incidents found, 0 to 1.
    pub fn found(&self) -> f64 {
        let (all, found) = self
            .detectable
            .values()
            .fold((0, 0), |sum, [all, found]| (sum.0 + all, sum.1 + found));
        found as f64 / all.max(1) as f64
    }

    /// False alarms per plugin and month.
    pub fn false_alarm_rate(&self) -> f64 {
        self.false_alarms.len() as f64 / self.months.max(1e-9)
    }

    /// Share of detections that were real, 0 to 1.
    pub fn precision(&self) -> f64 {
        1.0 - self.false_alarms.len() as f64 / self.detections.max(1) as f64
    }

    /// Adds another fleet.
    pub fn join(&mut self, other: Self) {
        for (kind, [all, found]) in other.detectable {
            let sum = self.detectable.entry(kind).or_default();
            *sum = [sum[0] + all, sum[1] + found];
        }
        for (sum, [all, found]) in self.by_bar.iter_mut().zip(other.by_bar) {
            *sum = [sum[0] + all, sum[1] + found];
        }
        for (kind, [ours, oracle]) in other.beats {
            let sum = self.beats.entry(kind).or_default();
            sum[0].extend(ours);
            sum[1].extend(oracle);
        }
        self.false_alarms.extend(other.false_alarms);
        self.confidences.extend(other.confidences);
        self.detections += other.detections;
        self.months += other.months;
        self.bad_releases = [0, 1].map(|i| self.bad_releases[i] + other.bad_releases[i]);
        self.blamed.extend(other.blamed);
        self.missed.extend(other.missed);
    }
}

/// What a simulated heartbeat tells the detectors.
pub fn observation(beat: &Beat) -> Observation<'_> {
    Observation {
        at: beat.at,
        window_s: beat.window_s,
        requests: beat.requests,
        errors: beat.errors,
        webhook_total: beat.webhook_total,
        webhook_failed: beat.webhook_failed,
        latency_ms: beat.latency_ms,
        errors_last_24h: Some(beat.errors_last_24h),
        webhook_fail_rate: beat.webhook_fail_rate,
        version: &beat.version,
        platform: beat.platform,
        uptime_s: Some(beat.uptime),
    }
}

/// Runs a fleet through the detectors.
pub fn run(plan: Plan, settings: &Settings) -> Score {
    let mut world = World::new(plan);
    let mut replay = Replay::new(settings.clone(), Prior::default());
    let mut detections = Vec::new();
    while let Some(beat) = world.advance() {
        detections.extend(replay.observe(&beat.plugin.to_string(), &observation(&beat)));
    }
    judge(&world, &detections)
}

fn judge(world: &World, detections: &[Detection]) -> Score {
    let mut score = Score {
        months: world.plugin_days() / MONTH,
        ..Score::default()
    };
    let mut found = vec![None; world.illnesses.len()];
    let mut blamed: Vec<&str> = Vec::new();
    for detection in detections {
        match detection {
            Detection::Release { release, .. } => blamed.push(&release.version),
            Detection::Plugin { plugin_id, at, finding } => {
                let plugin: usize = plugin_id.parse().unwrap_or(usize::MAX);
                let real = world.illnesses.iter().enumerate().filter(|(_, illness)| {
                    illness.plugin == plugin && (illness.from..illness.to + GRACE_S).contains(at)
                });
                let mut is_real = false;
                for (i, illness) in real {
                    is_real = true;
                    if fits(illness.kind, finding.incident_type) && *at < illness.to + GRACE_S {
                        found[i] = found[i].or(Some(*at));
                    }
                }
                score.detections += 1;
                score.confidences.push((finding.confidence, is_real));
                if !is_real {
                    score.false_alarms.push((
                        plugin,
                        *at,
                        finding.incident_type,
                        finding.evidence.observed / finding.evidence.expected,
                    ));
                }
            }
        }
    }
    for (illness, found) in world.illnesses.iter().zip(found) {
        for (sum, bar) in score.by_bar.iter_mut().zip(BARS) {
            if illness.oracle_nats >= bar && !illness.of_release {
                *sum = [sum[0] + 1, sum[1] + usize::from(found.is_some())];
            }
        }
        let Some(_) = illness.oracle_at.filter(|_| !illness.of_release) else {
            continue;
        };
        let sum = score.detectable.entry(illness.kind).or_default();
        *sum = [sum[0] + 1, sum[1] + usize::from(found.is_some())];
        if let Some(at) = found {
            let beats = score.beats.entry(illness.kind).or_default();
            beats[0].push((at - illness.from) as f64 / 120.0);
            beats[1].push((illness.oracle_at.unwrap_or(0) - illness.from) as f64 / 120.0);
        } else {
            score.missed.push(illness.clone());
        }
    }
    for release in &world.releases {
        let is_blamed = blamed.contains(&release.version.as_str());
        match release.bad {
            Some(_) if release.hit >= 3 => {
                score.bad_releases[0] += 1;
                score.bad_releases[1] += usize::from(is_blamed);
            }
            None if is_blamed => score.blamed.push(release.version.clone()),
            _ => {}
        }
    }
    score
}

fn fits(kind: Kind, incident: IncidentType) -> bool {
    match kind {
        Kind::ErrorSpike | Kind::SlowDrift => incident == IncidentType::ErrorSpike,
        Kind::WebhookStep => incident == IncidentType::WebhookFailRate,
        Kind::Silence => incident == IncidentType::HeartbeatMissed,
        Kind::LatencyCreep => incident == IncidentType::TelemetryAnomaly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_fleet_is_watched_as_promised() {
        let mut score = Score::default();
        for seed in 21..=22 {
            let plan = Plan {
                seed,
                plugins: 80,
                days: 4,
            };
            score.join(run(plan, &Settings::default()));
        }
        assert!(score.found() >= 0.9, "found {:.3}: {:?}", score.found(), score.missed);
        assert!(score.false_alarm_rate() <= 0.6, "{:?}", score.false_alarms);
        assert_eq!(score.bad_releases[0], score.bad_releases[1]);
        assert_eq!(score.blamed, Vec::<String>::new());
    }

    #[test]
    fn the_same_seed_is_the_same_fleet() {
        let plan = Plan {
            seed: 5,
            plugins: 6,
            days: 1,
        };
        let beats = || {
            let mut world = World::new(plan);
            std::iter::from_fn(move || world.advance())
                .map(|beat| format!("{beat:?}"))
                .collect::<Vec<_>>()
        };
        let first = beats();
        assert!(first.len() > 3_000);
        assert_eq!(first, beats());
    }
}
