//! A release that is worse than its siblings: what the plugins that changed to it say together, in the light of what
//! the rest of the fleet does at the same time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{num, observation::Observation, settings::FleetNow};

/// A release is blamed from so many nats on.
pub const BLAME: f64 = 8.0;
/// And only when so many plugins speak against it.
pub const FEWEST: u32 = 3;
/// A plugin speaks against a release from so many nats on.
pub const AGAINST: f64 = 1.5;
/// The most releases that are watched at once; the one that was not heard of for the longest is forgotten.
const MOST_WATCHED: usize = 512;
/// What the fleet does now is what it did in about the last half hour.
const NOW_S: f64 = 1_800.0;
/// The rest of the fleet corrects only when there is one: this weight speaks for the usual.
const NOW_WEIGHT: f64 = 20.0;

/// What one observation showed beside what was expected of it, for the fleet's sake.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Deviation {
    /// The plugin's word about the release it runs before and after this observation, in nats; `None` when it does not
    /// watch a change.
    pub word: Option<(f64, f64)>,
    /// Errors seen and expected.
    pub errors: Option<(f64, f64)>,
    /// Webhook deliveries: the share failing above the usual, and how many were tried.
    pub webhooks: Option<(f64, f64)>,
    /// Log latency above what the load explains.
    pub latency: Option<f64>,
}

/// A release that should be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BadRelease {
    /// Its version.
    pub version: String,
    /// Where it is bad; `None`: wherever it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The probability that it is, 0 to 1.
    pub confidence: f64,
    /// How many plugins speak against it.
    pub plugins: u32,
}

/// What the fleet detector remembers: bounded, whatever comes.
#[derive(Debug, Clone, Default)]
pub struct FleetState {
    releases: BTreeMap<(String, Option<String>), Case>,
    rest: Rest,
    last_at: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Case {
    words: f64,
    against: u32,
    heard: i64,
    blamed: bool,
}

/// Sums over the plugins that changed nothing, faded.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    errors: [f64; 2],
    webhooks: [f64; 2],
    latency: [f64; 2],
}

impl FleetState {
    /// Takes what one observation of one plugin showed; gives the releases that are to blame from now on, each once.
    pub fn advance(&mut self, seen: &Observation<'_>, deviation: &Deviation) -> Vec<BadRelease> {
        let elapsed = num::seconds(seen.at.saturating_sub(self.last_at).clamp(0, 86_400));
        self.last_at = self.last_at.max(seen.at);
        self.rest.fade(num::decay(elapsed, NOW_S));
        let Some((before, after)) = deviation.word else {
            self.rest.add(deviation);
            return Vec::new();
        };
        let mut blamed = Vec::new();
        for platform in [Some(seen.platform.to_owned()), None] {
            let key = (seen.version.to_owned(), platform);
            if !self.releases.contains_key(&key) {
                self.make_room();
            }
            let case = self.releases.entry(key.clone()).or_default();
            case.heard = seen.at;
            case.words += after - before;
            match (before >= AGAINST, after >= AGAINST) {
                (false, true) => case.against += 1,
                (true, false) => case.against = case.against.saturating_sub(1),
                _ => {}
            }
            if !case.blamed && case.words >= BLAME && case.against >= FEWEST {
                case.blamed = true;
                blamed.push(BadRelease {
                    version: key.0,
                    platform: key.1,
                    confidence: 0.97,
                    plugins: case.against,
                });
            }
        }
        blamed
    }

    /// What the plugins that changed nothing do now.
    pub fn now(&self) -> FleetNow {
        let [seen, expected] = self.rest.errors;
        let [points, webhooks] = self.rest.webhooks;
        let [shift, blocks] = self.rest.latency;
        FleetNow {
            errors_ratio: ((seen + NOW_WEIGHT) / (expected + NOW_WEIGHT)).clamp(1.0, 10.0),
            webhook_points: (points / (webhooks + NOW_WEIGHT)).clamp(0.0, 0.9),
            latency_shift: (shift / (blocks + NOW_WEIGHT)).clamp(0.0, 2.0),
        }
    }

    fn make_room(&mut self) {
        while self.releases.len() >= MOST_WATCHED {
            let oldest = self.releases.iter().min_by_key(|(_, case)| case.heard);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.releases.remove(&key);
        }
    }
}

impl Rest {
    fn fade(&mut self, kept: f64) {
        for sum in self
            .errors
            .iter_mut()
            .chain(&mut self.webhooks)
            .chain(&mut self.latency)
        {
            *sum *= kept;
        }
    }

    /// Each plugin counts about the same, and none for much: the ill ones are not the fleet.
    fn add(&mut self, deviation: &Deviation) {
        if let Some((seen, expected)) = deviation.errors {
            let scale = 1.0 / expected.max(1.0);
            self.errors[0] += (seen * scale).min(3.0);
            self.errors[1] += expected * scale;
        }
        if let Some((points, tried)) = deviation.webhooks {
            let weight = tried.min(5.0);
            self.webhooks[0] += weight * points;
            self.webhooks[1] += weight;
        }
        if let Some(shift) = deviation.latency {
            self.latency[0] += shift.clamp(-0.3, 0.3);
            self.latency[1] += 1.0;
        }
    }
}
