//! Decisions: the question, the answer, and what is taken from a decider outside.
//!
//! The types and the built-in model are [`plugmend_shared::decide`]'s, so that `plugmend decide replay` runs the very
//! code that decided.

pub mod answer;
pub mod redact;

use plugmend_shared::decide;
pub use plugmend_shared::decide::{
    Action, Arm, BUILT_IN, Decision, Experience, FleetFinding, HEURISTICS, History, KnownRelease, Method, PastAttempt,
    PastOutcome, Peers, Question, Remedy, RemedySource, Seed, Standing, Tally, VersionChange,
};
use serde::{Deserialize, Serialize};

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The external SIRA.
    External,
    /// The built-in model.
    BuiltIn,
    /// The documented rules.
    Heuristics,
}

/// A decision, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// What was decided.
    pub decision: Decision,
    /// By whom.
    pub source: Source,
    /// By which model: a version of ours, or what the external one says of itself.
    pub model_version: String,
    /// Why those asked before did not answer, in words: `external: timed out after 10 s`, say.
    pub passed_over: Vec<String>,
}

impl Source {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::BuiltIn => "built_in",
            Self::Heuristics => "heuristics",
        }
    }
}

/// The built-in model, and the rules when it has no answer. Never fails, and is a pure function of the question.
pub fn decide_here(question: &Question, mut passed_over: Vec<String>) -> Decided {
    match decide::decide(question) {
        Ok(decision) => Decided {
            decision,
            source: Source::BuiltIn,
            model_version: BUILT_IN.to_owned(),
            passed_over,
        },
        Err(unable) => {
            passed_over.push(format!("built-in: {unable}"));
            Decided {
                decision: decide::fall_back(question),
                source: Source::Heuristics,
                model_version: HEURISTICS.to_owned(),
                passed_over,
            }
        }
    }
}
