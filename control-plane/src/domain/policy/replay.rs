//! The same question to another policy: what a judgement rests on is kept, so that it can be asked again.

use jiff::Timestamp;
use plugmend_shared::detect::Severity;
use serde::{Deserialize, Serialize};

use super::{Cure, PluginFacts, Policy, Reason, ReleaseFacts, Verdict, judge};

/// Everything that a judgement rests on, but for the policy and the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grounds {
    /// How bad the incident was.
    pub severity: Severity,
    /// What was wanted.
    pub cure: Cure,
    /// What would have been installed.
    pub release: Option<ReleaseFacts>,
    /// The plugin and the fleet around it.
    pub plugin: PluginFacts,
}

impl Grounds {
    /// What a policy says about them at a moment.
    pub fn judge(&self, policy: &Policy, now: Timestamp) -> Verdict {
        judge(
            policy,
            self.severity,
            &self.cure,
            self.release.as_ref(),
            &self.plugin,
            now,
        )
    }
}

/// A judgement in one word (`policy_judgements.outcome`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It goes on by itself.
    Allow,
    /// People must say yes first.
    NeedsApproval,
    /// No, or not now.
    Refuse,
}

impl Outcome {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::NeedsApproval => "needs_approval",
            Self::Refuse => "refuse",
        }
    }

    /// What a name in the database means.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Allow, Self::NeedsApproval, Self::Refuse]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}

/// A reason as it is kept and shown: for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShownReason {
    /// Its name.
    pub code: String,
    /// The same in words.
    pub words: String,
}

impl From<&Reason> for ShownReason {
    fn from(reason: &Reason) -> Self {
        Self {
            code: reason.code().to_owned(),
            words: reason.to_string(),
        }
    }
}

impl Verdict {
    /// In one word.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Allow => Outcome::Allow,
            Self::NeedsApproval { .. } => Outcome::NeedsApproval,
            Self::Refuse { .. } => Outcome::Refuse,
        }
    }

    /// Why; nothing where it is allowed.
    pub fn reasons(&self) -> Vec<ShownReason> {
        match self {
            Self::Allow => Vec::new(),
            Self::NeedsApproval { reasons, .. } | Self::Refuse { reasons, .. } => {
                reasons.iter().map(ShownReason::from).collect()
            }
        }
    }
}
