//! Decision: given an incident, which action, which version, how sure, and why. Pure, and the same code where it is
//! decided (the control plane) and where it is checked again (`plugmend decide replay`).
//!
//! A [`Question`] holds everything that a decision may rest on, what was learned so far included, so a stored question
//! with its stored decision is all that a replay needs. The names on the wire are the reference system's.

mod action;
mod arm;
mod belief;
mod blame;
mod built_in;
mod decision;
mod experience;
mod heuristics;
mod options;
mod question;
mod round;
#[cfg(test)]
mod tests;
mod words;

pub use action::{Action, Method};
pub use arm::arm_of;
pub use belief::{Belief, believe};
pub use built_in::{BUILT_IN, Unable, decide};
pub use decision::Decision;
pub use experience::{Arm, Experience, Seed, Tally};
pub use heuristics::{HEURISTICS, fall_back};
pub use question::{
    FleetFinding, History, KnownRelease, MAX_CHANGES, MAX_FINDINGS, MAX_PAST, MAX_RELEASES, MAX_REMEDIES, MAX_TALLIES,
    PastAttempt, PastOutcome, Peers, Question, Remedy, RemedySource, Standing, VersionChange,
};
pub use round::{round, round_map};
