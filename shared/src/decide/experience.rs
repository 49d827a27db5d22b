//! What was learned so far, as far as it matters to one question.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of cure, for learning: finer than an action, because a release that declares what it fixes is another bet
/// than one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// A release that declares that it fixes this type of incident.
    PatchDeclared,
    /// A release that does not.
    PatchOther,
    /// The version before, where the version that runs is to blame.
    Rollback,
    /// Settings that the signed manifest names as a remedy for this type of incident.
    ConfigDeclared,
    /// Settings that helped elsewhere.
    ConfigLearned,
    /// Settings put back to what they were set to.
    ConfigManaged,
    /// The same version once more.
    Reinstall,
}

impl Arm {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PatchDeclared,
        Self::PatchOther,
        Self::Rollback,
        Self::ConfigDeclared,
        Self::ConfigLearned,
        Self::ConfigManaged,
        Self::Reinstall,
    ];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PatchDeclared => "patch_declared",
            Self::PatchOther => "patch_other",
            Self::Rollback => "rollback",
            Self::ConfigDeclared => "config_declared",
            Self::ConfigLearned => "config_learned",
            Self::ConfigManaged => "config_managed",
            Self::Reinstall => "reinstall",
        }
    }
}

impl FromStr for Arm {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|arm| arm.as_str() == word).ok_or(())
    }
}

/// How often a kind of cure worked, at one level of the hierarchy: for everything (`incident_type` and `to` empty),
/// for one type of incident (`to` empty), or for one type and one change of one product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Which kind of cure.
    pub arm: Arm,
    /// For which type of incident; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub incident_type: String,
    /// From which version; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// To which version, or by which remedy; empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// How often it worked.
    pub successes: f64,
    /// How often it did not, or was taken back.
    pub failures: f64,
}

/// What is known of a release before it ever cured anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seed {
    /// Which version.
    pub version: String,
    /// Staging runs that passed.
    pub staging_passed: u32,
    /// Staging runs that did not.
    pub staging_failed: u32,
    /// Installations (canaries among them) that kept it after their watch.
    pub kept: u32,
    /// Installations that went back.
    pub reverted: u32,
}

/// What was learned so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Experience {
    /// Grows with everything that is learned.
    pub epoch: u64,
    /// Whether the built-in model did worse than the rules and has to leave the decision to them.
    #[serde(default)]
    pub demoted: bool,
    /// Whether the external one did, and is not asked any more.
    #[serde(default)]
    pub external_demoted: bool,
    /// Outcomes of cures, of this type and product as far as they are special.
    #[serde(default)]
    pub tallies: Vec<Tally>,
    /// How releases of this product did before.
    #[serde(default)]
    pub seeds: Vec<Seed>,
}

impl Experience {
    /// Successes and failures at one level; zeros when there is none.
    pub fn count(&self, arm: Arm, incident_type: &str, from: &str, to: &str) -> (f64, f64) {
        self.tallies
            .iter()
            .find(|t| t.arm == arm && t.incident_type == incident_type && t.from == from && t.to == to)
            .map_or((0.0, 0.0), |t| (t.successes.max(0.0), t.failures.max(0.0)))
    }
}
