//! What the end of an attempt teaches.

use plugmend_shared::decide::{Arm, Method, Question, arm_of};
use serde::Serialize;
use serde_json::{Map, Value};

/// How an attempt ended (`sira_learning_feedback.actual_outcome`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was applied and held.
    Success,
    /// It was not applied, or did not hold.
    Failed,
    /// It was taken back.
    RolledBack,
    /// It was applied, and nobody can say whether it helped.
    Partial,
}

impl Outcome {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Partial => "partial",
        }
    }
}

/// What it says of the cure (`sira_learning_feedback.feedback_label`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It works.
    Positive,
    /// It does not.
    Negative,
    /// Nothing.
    Neutral,
}

impl Label {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Neutral => "neutral",
        }
    }
}

/// What an attempt was before it ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    /// On its way.
    Live,
    /// A success, which was learned as one.
    Success,
}

/// An attempt that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How it was tried.
    pub method: Method,
    /// From which version.
    pub from: String,
    /// To which version.
    pub to: Option<String>,
    /// With which settings.
    pub config: Option<Map<String, Value>>,
    /// `success`, `failed` or `rolled_back`.
    pub status: String,
    /// What it was before.
    pub was: Was,
    /// Whether the plugin was touched.
    pub applied: bool,
    /// Whether its staging run passed; none when there was none.
    pub staging_passed: Option<bool>,
    /// Whether the trial found it healthy; none when it could not tell.
    pub healthy: Option<bool>,
}

/// What is learned from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// How it ended.
    pub outcome: Outcome,
    /// What that says of the cure.
    pub label: Label,
    /// Which cure: its kind, and where it led.
    pub cure: Option<(Arm, String)>,
    /// What is added to its successes.
    pub successes: f64,
    /// What is added to its failures.
    pub failures: f64,
    /// What is learned of the release itself.
    pub seed: SeedChange,
}

/// What is added to the counts of a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeedChange {
    /// Staging runs that passed.
    pub staging_passed: i32,
    /// Staging runs that did not.
    pub staging_failed: i32,
    /// Installations that kept it.
    pub kept: i32,
    /// Installations that went back.
    pub reverted: i32,
}

/// Learns from the end of an attempt that answered a question.
pub fn learn(question: Option<&Question>, ended: &Ended) -> Lesson {
    let outcome = match (ended.status.as_str(), ended.healthy) {
        ("success", Some(true)) => Outcome::Success,
        ("success", _) => Outcome::Partial,
        ("rolled_back", _) => Outcome::RolledBack,
        _ => Outcome::Failed,
    };
    // An order that never reached the plugin says nothing of the cure; a failed staging run does.
    let was_tried = ended.staging_passed == Some(false) || ended.applied;
    let label = match outcome {
        Outcome::Success => Label::Positive,
        Outcome::RolledBack => Label::Negative,
        Outcome::Failed if was_tried => Label::Negative,
        Outcome::Partial | Outcome::Failed => Label::Neutral,
    };
    let config = ended.config.as_ref();
    let to = ended.to.as_deref();
    let cure = question.and_then(|question| arm_of(question, ended.method, to, config));
    // A success that is taken back later was learned as one: that is undone.
    let counted_before = ended.was == Was::Success && ended.healthy == Some(true);
    Lesson {
        outcome,
        label,
        cure,
        successes: match label {
            Label::Positive => 1.0,
            Label::Negative if counted_before => -1.0,
            _ => 0.0,
        },
        failures: if label == Label::Negative { 1.0 } else { 0.0 },
        seed: seed(ended, outcome),
    }
}

fn seed(ended: &Ended, outcome: Outcome) -> SeedChange {
    let mut seed = SeedChange::default();
    if !matches!(ended.method, Method::Patch | Method::Hotfix) {
        return seed;
    }
    if ended.was == Was::Live {
        match ended.staging_passed {
            Some(true) => seed.staging_passed = 1,
            Some(false) => seed.staging_failed = 1,
            None => {}
        }
    }
    match outcome {
        Outcome::Success | Outcome::Partial => seed.kept = 1,
        Outcome::RolledBack => {
            seed.reverted = 1;
            seed.kept = if ended.was == Was::Success { -1 } else { 0 };
        }
        Outcome::Failed => {}
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: &str) -> Ended {
        Ended {
            method: Method::Patch,
            from: "1.0.0".to_owned(),
            to: Some("1.0.1".to_owned()),
            config: None,
            status: status.to_owned(),
            was: Was::Live,
            applied: true,
            staging_passed: Some(true),
            healthy: Some(true),
        }
    }

    fn counts(ended: &Ended) -> (Outcome, Label, f64, f64) {
        let lesson = learn(None, ended);
        (lesson.outcome, lesson.label, lesson.successes, lesson.failures)
    }

    #[test]
    fn what_was_taken_back_counts_as_a_failure() {
        assert_eq!(
            counts(&ended("rolled_back")),
            (Outcome::RolledBack, Label::Negative, 0.0, 1.0)
        );
    }

    #[test]
    fn a_success_taken_back_later_is_one_no_more() {
        let taken_back = Ended {
            was: Was::Success,
            ..ended("rolled_back")
        };
        assert_eq!(counts(&ended("success")), (Outcome::Success, Label::Positive, 1.0, 0.0));
        assert_eq!(counts(&taken_back), (Outcome::RolledBack, Label::Negative, -1.0, 1.0));
        assert_eq!(learn(None, &taken_back).seed.kept, -1);
    }

    #[test]
    fn an_inconclusive_trial_teaches_nothing_of_the_cure() {
        let inconclusive = Ended {
            healthy: None,
            ..ended("success")
        };
        assert_eq!(counts(&inconclusive), (Outcome::Partial, Label::Neutral, 0.0, 0.0));
    }

    #[test]
    fn an_order_that_never_arrived_is_not_the_cures_fault() {
        let lost = Ended {
            applied: false,
            healthy: None,
            ..ended("failed")
        };
        assert_eq!(counts(&lost), (Outcome::Failed, Label::Neutral, 0.0, 0.0));
        let refused = Ended {
            staging_passed: Some(false),
            ..lost
        };
        assert_eq!(counts(&refused), (Outcome::Failed, Label::Negative, 0.0, 1.0));
    }
}
