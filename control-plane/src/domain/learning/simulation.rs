//! Which way of learning is worth most, on simulated incidents: the rules, counts for each change alone, or beliefs that
//! share what they know. Seeds are fixed.

use plugmend_shared::decide::{Arm, Experience, Tally, believe};

use super::{Forecast, calibrate};

/// What can be done about each incident.
const ARMS: [Arm; 3] = [Arm::PatchDeclared, Arm::Rollback, Arm::ConfigLearned];
/// How often each works, before types and changes differ.
const BASE: [f64; 3] = [0.80, 0.55, 0.40];
const TYPES: [&str; 4] = ["error_spike", "webhook_fail_rate", "config_drift", "telemetry_anomaly"];
/// Changes from one version to another, of which fleets always have new ones.
const CHANGES: usize = 60;
const INCIDENTS: usize = 1500;
/// What asking people is worth; how often they then choose what is best.
const ASK: f64 = 0.2;
const PEOPLE_KNOW: f64 = 0.7;

/// Splitmix64 (Steele, Lea and Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (z >> 11) as f64 / (1u64 << 53) as f64;
        unit
    }

    fn below(&mut self, n: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a small number that is not negative"
        )]
        let index = (self.next() * n as f64) as usize;
        index.min(n - 1)
    }

    /// About normal: the sum of twelve (mean 0, variance 1).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// How often each cure really works: by kind, type, and change.
struct World(Vec<[f64; 3]>);

impl World {
    fn draw(random: &mut Random) -> Self {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let mut truth = Vec::new();
        for _ in TYPES {
            let of_type: Vec<f64> = BASE.iter().map(|p| logit(*p) + 0.8 * random.normal()).collect();
            for _ in 0..CHANGES {
                let of_change = |x: &f64| 1.0 / (1.0 + (-(x + 0.8 * random.normal())).exp());
                let chances: Vec<f64> = of_type.iter().map(of_change).collect();
                truth.push([chances[0], chances[1], chances[2]]);
            }
        }
        Self(truth)
    }

    fn of(&self, kind: usize, change: usize) -> [f64; 3] {
        self.0[kind * CHANGES + change]
    }
}

/// A way of learning: what it believes of each cure, and what it makes of an outcome.
trait Learner {
    fn believes(&self, kind: usize, change: usize) -> [f64; 3];
    fn learns(&mut self, kind: usize, change: usize, arm: usize, worked: bool);
}

/// The documented rules: webhooks are a setting, everything else is for people.
struct Rules;

impl Learner for Rules {
    fn believes(&self, kind: usize, _: usize) -> [f64; 3] {
        [0.0, 0.0, if TYPES[kind] == "webhook_fail_rate" { 0.61 } else { 0.0 }]
    }

    fn learns(&mut self, _: usize, _: usize, _: usize, _: bool) {}
}

/// Counts for each change alone.
struct Flat(Vec<[(f64, f64); 3]>);

impl Learner for Flat {
    fn believes(&self, kind: usize, change: usize) -> [f64; 3] {
        self.0[kind * CHANGES + change].map(|(s, f)| (1.0 + s) / (2.0 + s + f))
    }

    fn learns(&mut self, kind: usize, change: usize, arm: usize, worked: bool) {
        let (s, f) = &mut self.0[kind * CHANGES + change][arm];
        *(if worked { s } else { f }) += 1.0;
    }
}

/// The product's own beliefs.
struct Hierarchy(Experience);

impl Learner for Hierarchy {
    fn believes(&self, kind: usize, change: usize) -> [f64; 3] {
        let to = change.to_string();
        ARMS.map(|arm| believe(&self.0, arm, TYPES[kind], "1.0.0", &to).mean)
    }

    fn learns(&mut self, kind: usize, change: usize, arm: usize, worked: bool) {
        let to = change.to_string();
        let levels = [("", "", ""), (TYPES[kind], "", ""), (TYPES[kind], "1.0.0", to.as_str())];
        for (incident_type, from, to) in levels {
            let known = self
                .0
                .tallies
                .iter_mut()
                .find(|t| t.arm == ARMS[arm] && t.incident_type == incident_type && t.from == from && t.to == to);
            let count = f64::from(u8::from(worked));
            match known {
                Some(tally) => {
                    tally.successes += count;
                    tally.failures += 1.0 - count;
                }
                None => self.0.tallies.push(Tally {
                    arm: ARMS[arm],
                    incident_type: incident_type.to_owned(),
                    from: from.to_owned(),
                    to: to.to_owned(),
                    successes: count,
                    failures: 1.0 - count,
                }),
            }
        }
    }
}

fn best(chances: [f64; 3]) -> usize {
    (0..3).max_by(|a, b| chances[*a].total_cmp(&chances[*b])).unwrap_or(0)
}

fn worth(p: f64) -> f64 {
    2.0 * p - 1.0
}

/// The mean worth of what a learner did, and what it said of it.
fn run(world: &World, learner: &mut dyn Learner, seed: u64) -> (f64, Vec<Forecast>) {
    let mut random = Random(seed);
    let (mut sum, mut forecasts) = (0.0, Vec::new());
    for _ in 0..INCIDENTS {
        let (kind, change) = (random.below(TYPES.len()), random.below(CHANGES));
        let truth = world.of(kind, change);
        let believed = learner.believes(kind, change);
        let choice = best(believed);
        let (luck, knows, guess) = (random.next(), random.next(), random.below(3));
        if worth(believed[choice]) > ASK {
            let worked = luck < truth[choice];
            sum += if worked { 1.0 } else { -1.0 };
            forecasts.push(Forecast {
                confidence: believed[choice],
                worked,
            });
            learner.learns(kind, change, choice, worked);
        } else {
            // Asked, people do something, and that is learned from too.
            sum += ASK;
            let theirs = if knows < PEOPLE_KNOW { best(truth) } else { guess };
            learner.learns(kind, change, theirs, luck < truth[theirs]);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let all = INCIDENTS as f64;
    (sum / all, forecasts)
}

fn oracle(world: &World) -> f64 {
    let worths: Vec<f64> = world.0.iter().map(|t| worth(t[best(*t)]).max(ASK)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let all = worths.len() as f64;
    worths.iter().sum::<f64>() / all
}

#[test]
fn shared_beliefs_are_worth_more_than_counts_and_counts_more_than_rules() {
    let mut means = [0.0; 4];
    let mut forecasts = Vec::new();
    for seed in 1..=8 {
        let world = World::draw(&mut Random(seed));
        let (rules, _) = run(&world, &mut Rules, seed + 100);
        let (flat, _) = run(
            &world,
            &mut Flat(vec![[(0.0, 0.0); 3]; TYPES.len() * CHANGES]),
            seed + 100,
        );
        let (shared, said) = run(&world, &mut Hierarchy(Experience::default()), seed + 100);
        forecasts.extend(said);
        for (mean, value) in means.iter_mut().zip([rules, flat, shared, oracle(&world)]) {
            *mean += value / 8.0;
        }
    }
    let [rules, flat, shared, oracle] = means;
    let calibration = calibrate(&forecasts).unwrap();
    let words = format!("rules {rules:.3}, flat {flat:.3}, shared {shared:.3}, oracle {oracle:.3}, {calibration:?}");
    assert!(rules + 0.1 < flat && flat + 0.05 < shared, "{words}");
    assert!(shared > 0.85 * oracle, "{words}");
    assert!(calibration.ece < 0.05, "{words}");
}
