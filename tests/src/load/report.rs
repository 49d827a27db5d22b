//! What a load came to: failed, mixed, stale.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use super::{Sample, Verdict};

/// How long after a swap the version before may still answer.
pub const GRACE: Duration = Duration::from_secs(1);

/// From when on which version was installed.
#[derive(Debug, Clone)]
pub struct Swap {
    /// When it began: the rename.
    pub begun: Instant,
    /// When the new version was in force: the same moment, or the end of the reload where one belongs to the layout.
    /// Between the two, both versions are current.
    pub done: Instant,
    /// What was installed then.
    pub version: String,
}

impl Swap {
    /// A swap that is in force at once.
    pub fn at(moment: Instant, version: &str) -> Self {
        Self {
            begun: moment,
            done: moment,
            version: version.to_owned(),
        }
    }
}

/// A load's outcome.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Requests.
    pub total: usize,
    /// No answer, or a wrong one; each with why.
    pub failed: Vec<String>,
    /// Answers by parts of two versions; each with why.
    pub mixed: Vec<String>,
    /// Errors that were the installed version's own bug; each with why.
    pub own_bugs: Vec<String>,
    /// Right answers by a version that had been replaced more than [`GRACE`] before they were asked for.
    pub stale: Vec<String>,
    /// Right answers, by version.
    pub by_version: BTreeMap<String, usize>,
    /// The longest that the old version went on answering after a swap.
    pub slowest_change: Duration,
    /// Half of the answers were faster than this.
    pub p50: Duration,
    /// 99 of 100 were faster than this.
    pub p99: Duration,
    /// The slowest answer.
    pub slowest: Duration,
}

impl Report {
    /// Judges samples against the swaps that happened meanwhile (in their order, the first being what was there).
    pub fn of(samples: &[Sample], swaps: &[Swap]) -> Self {
        let mut report = Self {
            total: samples.len(),
            ..Self::default()
        };
        for sample in samples {
            match &sample.verdict {
                Verdict::Failed(why) => report.failed.push(why.clone()),
                Verdict::Mixed(why) => report.mixed.push(why.clone()),
                Verdict::OwnBug(why) => report.own_bugs.push(why.clone()),
                Verdict::Right(version) => report.right(sample, version, swaps),
            }
        }
        let mut took: Vec<Duration> = samples.iter().map(|s| s.answered - s.sent).collect();
        took.sort();
        report.p50 = share(&took, 50);
        report.p99 = share(&took, 99);
        report.slowest = share(&took, 100);
        report
    }

    fn right(&mut self, sample: &Sample, version: &str, swaps: &[Swap]) {
        *self.by_version.entry(version.to_owned()).or_default() += 1;
        let Some(current) = swaps.iter().rev().find(|swap| swap.done <= sample.sent) else {
            return;
        };
        // It may also have been on its way in while the question was asked and the answer was under way.
        let meanwhile = swaps
            .iter()
            .any(|s| s.done > sample.sent && s.begun <= sample.answered && s.version == version);
        if current.version == version || meanwhile {
            return;
        }
        let late = sample.sent - current.done;
        self.slowest_change = self.slowest_change.max(late);
        if late > GRACE {
            self.stale.push(format!(
                "{version} answered {} ms after {} came",
                late.as_millis(),
                current.version
            ));
        }
    }

    /// Whether every answer was right, whole and current, but for the plugin's own bugs.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.mixed.is_empty() && self.stale.is_empty()
    }
}

fn share(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests: {} failed, {} mixed, {} stale after 1 s; p50 {:.1} ms, p99 {:.1} ms, slowest {:.0} ms; \
             the old version answered at most {} ms longer",
            self.total,
            self.failed.len(),
            self.mixed.len(),
            self.stale.len(),
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3,
            self.slowest.as_secs_f64() * 1e3,
            self.slowest_change.as_millis(),
        )?;
        if !self.own_bugs.is_empty() {
            write!(f, "; {} more failed by the plugin's own bugs", self.own_bugs.len())?;
        }
        for why in self.failed.iter().chain(&self.mixed).chain(&self.stale).take(5) {
            write!(f, "\n  {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(begun: Instant, ms: u64, version: &str) -> Sample {
        Sample {
            sent: begun + Duration::from_millis(ms),
            answered: begun + Duration::from_millis(ms + 10),
            verdict: Verdict::Right(version.to_owned()),
        }
    }

    fn swap(begun: Instant, ms: u64, version: &str) -> Swap {
        Swap::at(begun + Duration::from_millis(ms), version)
    }

    #[test]
    fn the_old_version_may_answer_for_a_second_and_no_longer() {
        let begun = Instant::now();
        let swaps = [swap(begun, 0, "1"), swap(begun, 5_000, "2")];
        let within = Report::of(&[sample(begun, 5_900, "1")], &swaps);
        assert!(within.is_clean() && within.slowest_change == Duration::from_millis(900));
        let late = Report::of(&[sample(begun, 6_100, "1")], &swaps);
        assert_eq!(late.stale.len(), 1);
    }

    #[test]
    fn a_version_that_came_while_the_answer_was_on_its_way_is_current() {
        let begun = Instant::now();
        let swaps = [swap(begun, 0, "1"), swap(begun, 5_000, "2")];
        let report = Report::of(&[sample(begun, 4_995, "2")], &swaps);
        assert!(report.is_clean() && report.slowest_change.is_zero());
    }

    #[test]
    fn while_a_reload_runs_both_versions_are_current() {
        let begun = Instant::now();
        let mut second = swap(begun, 5_000, "2");
        second.done += Duration::from_secs(2);
        let swaps = [swap(begun, 0, "1"), second];
        let report = Report::of(&[sample(begun, 6_500, "1"), sample(begun, 5_500, "2")], &swaps);
        assert!(report.is_clean() && report.slowest_change.is_zero());
    }
}
