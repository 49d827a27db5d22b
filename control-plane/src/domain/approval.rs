//! Who must have said yes, and who did.

mod content;
mod request;

use std::collections::BTreeSet;

use jiff::Timestamp;
use plugmend_shared::ids::Digest;
use serde::{Deserialize, Serialize};

pub use content::Content;
pub use request::{Missing, Refused, Request, STANDINGS, Standing, Yes};

/// A role that can approve; the names are those in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpsRole {
    /// Runs the fleet.
    PayAdmin,
    /// Watches over rules and approvals.
    ComplianceOps,
}

impl OpsRole {
    /// The name in tokens and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PayAdmin => "pay_admin",
            Self::ComplianceOps => "compliance_ops",
        }
    }

    /// What a name means.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PayAdmin, Self::ComplianceOps]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// One person's yes, bound to what it was said about (`plugin_autopatch_attempts.approved_by`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Who, by the subject of their token.
    pub user_id: String,
    /// In which role.
    pub role: OpsRole,
    /// When.
    pub approved_at: Timestamp,
    /// The release that was looked at; none for a cure without release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_digest: Option<Digest>,
    /// Everything that was looked at; none for those that were written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_digest: Option<Digest>,
    /// The key that it was signed with for the agent, by its name in the signed metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// How many people, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Quorum {
    /// Distinct people.
    pub people: u32,
    /// Roles of which at least one each must be among them.
    pub one_of_each: BTreeSet<OpsRole>,
    /// How many of them must have signed for the agent, with keys of their own.
    #[serde(default, skip_serializing_if = "is_none")]
    pub signatures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

impl Quorum {
    /// One person of ops.
    pub fn anyone() -> Self {
        Self {
            people: 1,
            one_of_each: BTreeSet::new(),
            signatures: 0,
        }
    }

    /// What satisfies both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            people: self.people.max(other.people),
            one_of_each: self.one_of_each.union(&other.one_of_each).copied().collect(),
            signatures: self.signatures.max(other.signatures),
        }
    }

    /// Whether the approvals that were given for exactly this release (or for a cure without one) suffice. One person
    /// counts once, in one role, however often they said yes: where two roles are wanted, two people are.
    pub fn is_met(&self, approvals: &[Approval], release: Option<&Digest>) -> bool {
        let valid: Vec<&Approval> = approvals
            .iter()
            .filter(|approval| approval.release_digest.as_ref() == release)
            .collect();
        let people: BTreeSet<&str> = valid.iter().map(|approval| approval.user_id.as_str()).collect();
        let keys: BTreeSet<&str> = valid
            .iter()
            .filter_map(|approval| approval.signed_by.as_deref())
            .collect();
        let wanted: Vec<OpsRole> = self.one_of_each.iter().copied().collect();
        u32::try_from(people.len()).is_ok_and(|count| count >= self.people)
            && u32::try_from(keys.len()).is_ok_and(|count| count >= self.signatures)
            && can_fill(&wanted, &valid, &mut BTreeSet::new())
    }
}

/// Whether each wanted role can be filled by a person of its own. There are two roles, so the search is short.
fn can_fill<'a>(wanted: &[OpsRole], approvals: &[&'a Approval], taken: &mut BTreeSet<&'a str>) -> bool {
    let Some((role, others)) = wanted.split_first() else {
        return true;
    };
    approvals
        .iter()
        .filter(|approval| approval.role == *role)
        .any(|approval| {
            if !taken.insert(&approval.user_id) {
                return false;
            }
            let filled = can_fill(others, approvals, taken);
            if !filled {
                taken.remove(approval.user_id.as_str());
            }
            filled
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yes(user: &str, role: OpsRole, release: Option<Digest>) -> Approval {
        Approval {
            user_id: user.to_owned(),
            role,
            approved_at: Timestamp::UNIX_EPOCH,
            release_digest: release,
            content_digest: None,
            signed_by: None,
        }
    }

    fn both() -> Quorum {
        Quorum {
            people: 2,
            one_of_each: BTreeSet::from([OpsRole::PayAdmin, OpsRole::ComplianceOps]),
            signatures: 0,
        }
    }

    #[test]
    fn two_roles_need_two_people() {
        let alone = [
            yes("ada", OpsRole::PayAdmin, None),
            yes("ada", OpsRole::ComplianceOps, None),
        ];
        assert!(!both().is_met(&alone, None));
        let two = [
            yes("ada", OpsRole::PayAdmin, None),
            yes("ada", OpsRole::ComplianceOps, None),
            yes("bob", OpsRole::PayAdmin, None),
        ];
        assert!(both().is_met(&two, None));
        let same_role = [yes("ada", OpsRole::PayAdmin, None), yes("bob", OpsRole::PayAdmin, None)];
        assert!(!both().is_met(&same_role, None));
    }

    #[test]
    fn a_yes_counts_for_the_release_it_was_said_about() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let approvals = [yes("ada", OpsRole::PayAdmin, Some(one))];
        assert!(Quorum::anyone().is_met(&approvals, Some(&one)));
        assert!(!Quorum::anyone().is_met(&approvals, Some(&other)));
        assert!(!Quorum::anyone().is_met(&approvals, None));
    }
}
