//! How likely a cure is to work: a Beta belief at each level of a hierarchy, each the prior of the next.
//!
//! Level 0 is the kind of cure, level 1 the kind and the type of incident, level 2 the change itself. A level's belief
//! is `(k * m + s) / (k + s + f)`: its outcomes (`s`, `f`), and the level above (`m`) weighed as `k` outcomes. With
//! nothing tried a change is believed to do as its kind does; with many tries it stands for itself.

use super::{Arm, Experience};

/// How many outcomes the kind of cure weighs against those of a type of incident.
const TYPE_PRIOR: f64 = 6.0;
/// How many outcomes the type of incident weighs against those of one change.
const CHANGE_PRIOR: f64 = 4.0;
/// What a staging run is worth, in outcomes: it shows that a release starts, not that it cures.
const STAGING: (f64, f64) = (0.25, 1.0);
/// What an installation elsewhere is worth, in outcomes: it shows that a release does no harm.
const INSTALLED: (f64, f64) = (0.5, 1.0);
/// The most seeds of each kind that count: what was learned from cures must be able to outweigh them.
const MOST_SEEDS: u32 = 6;

/// What is believed of one cure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    /// The probability that it works.
    pub mean: f64,
    /// How often this very change worked for this type of incident.
    pub worked: f64,
    /// How often it did not.
    pub failed: f64,
}

/// What is believed before anything was tried: mean, and how many outcomes that weighs. Declared fixes come from people
/// who signed for them; a release that claims nothing is a guess.
fn prior(arm: Arm) -> (f64, f64) {
    match arm {
        Arm::PatchDeclared => (0.86, 10.0),
        Arm::PatchOther => (0.30, 6.0),
        Arm::Rollback => (0.92, 10.0),
        Arm::ConfigDeclared => (0.82, 8.0),
        Arm::ConfigLearned => (0.60, 6.0),
        Arm::ConfigManaged => (0.93, 8.0),
        Arm::Reinstall => (0.95, 10.0),
    }
}

/// What is believed of the cure of an `incident_type` by a change `from` one version `to` another (or by a remedy of
/// that name).
pub fn believe(experience: &Experience, arm: Arm, incident_type: &str, from: &str, to: &str) -> Belief {
    let (mean, weight) = prior(arm);
    let (worked, failed) = experience.count(arm, "", "", "");
    let kind = update(mean, weight, worked, failed);
    let (worked, failed) = experience.count(arm, incident_type, "", "");
    let of_type = update(kind, TYPE_PRIOR, worked, failed);
    let (worked, failed) = experience.count(arm, incident_type, from, to);
    let (seed_worked, seed_failed) = seeds(experience, arm, to);
    Belief {
        mean: update(of_type, CHANGE_PRIOR, worked + seed_worked, failed + seed_failed),
        worked,
        failed,
    }
}

fn update(mean: f64, weight: f64, worked: f64, failed: f64) -> f64 {
    (weight * mean + worked) / (weight + worked + failed)
}

/// Staging runs and installations of a release, in outcomes.
fn seeds(experience: &Experience, arm: Arm, to: &str) -> (f64, f64) {
    if !matches!(arm, Arm::PatchDeclared | Arm::PatchOther) {
        return (0.0, 0.0);
    }
    let Some(seed) = experience.seeds.iter().find(|seed| seed.version == to) else {
        return (0.0, 0.0);
    };
    let of = |count: u32, worth: f64| f64::from(count.min(MOST_SEEDS)) * worth;
    (
        of(seed.staging_passed, STAGING.0) + of(seed.kept, INSTALLED.0),
        of(seed.staging_failed, STAGING.1) + of(seed.reverted, INSTALLED.1),
    )
}
