//! A question to people: what they said, and what that comes to.
//!
//! ```text
//! pending -> approved -> pending (the policy asks for more people by now), void
//!    \-----> rejected, expired, void
//! ```

use std::collections::BTreeSet;

use jiff::Timestamp;
use plugmend_shared::ids::Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Approval, OpsRole, Quorum, can_fill};

/// Where a question stands (`approvals.status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// People are waited for.
    Pending,
    /// Enough of them said yes.
    Approved,
    /// One of them said no.
    Rejected,
    /// They took too long.
    Expired,
    /// It is not what would be done any more.
    Void,
}

/// Every standing.
pub const STANDINGS: [Standing; 5] = [
    Standing::Pending,
    Standing::Approved,
    Standing::Rejected,
    Standing::Expired,
    Standing::Void,
];

impl Standing {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Void => "void",
        }
    }

    /// What a name means.
    pub fn from_name(name: &str) -> Option<Self> {
        STANDINGS.into_iter().find(|standing| standing.as_str() == name)
    }

    /// Whether it still says something about what will be done.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Approved)
    }
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yes {
    /// Who.
    pub person: String,
    /// In which roles.
    pub roles: Vec<OpsRole>,
    /// When.
    pub at: Timestamp,
    /// The key that they signed with for the agent, where they did.
    pub signed_by: Option<String>,
}

/// A question to people, bound to what would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it stands.
    pub standing: Standing,
    /// Who must say yes.
    pub quorum: Quorum,
    /// Which release would be installed; none for what installs none.
    pub release: Option<Digest>,
    /// Everything that would be done.
    pub content: Digest,
    /// The person who wants it, who has no say; none when the loop does.
    pub wanted_by: Option<String>,
    /// From then on it is too late.
    pub expires_at: Timestamp,
    /// Who said yes so far.
    pub yes: Vec<Yes>,
}

/// Why a word does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is decided.
    #[error("it is {} already", .0.as_str())]
    Over(Standing),
    /// Its time is over.
    #[error("its time is over; it has to be asked for anew")]
    TooLate,
    /// What would be done is not what was asked, or not what the person looked at.
    #[error("what would be done is not what was asked; look at it again")]
    Changed,
    /// It is the person's own wish.
    #[error("nobody approves what they want themselves; somebody else must")]
    Own,
    /// They said so before.
    #[error("you said yes already; somebody else must")]
    Twice,
    /// The key has signed already.
    #[error("this key has signed already; every signature takes a key of its own")]
    SameKey,
    /// They have none of the roles that count.
    #[error("none of your roles counts here")]
    NoRole,
}

/// Who is still waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Missing {
    /// How many people.
    pub people: u32,
    /// Roles of which one each must be among them.
    pub one_of_each: BTreeSet<OpsRole>,
    /// How many signatures for the agent; also of people who said yes before.
    pub signatures: u32,
}

impl Request {
    /// The approvals so far, as the policy counts them.
    pub fn approvals(&self) -> Vec<Approval> {
        let approval = |yes: &Yes, role: &OpsRole| Approval {
            user_id: yes.person.clone(),
            role: *role,
            approved_at: yes.at,
            release_digest: self.release,
            content_digest: Some(self.content),
            signed_by: yes.signed_by.clone(),
        };
        self.yes
            .iter()
            .flat_map(|yes| yes.roles.iter().map(move |role| approval(yes, role)))
            .collect()
    }

    /// Whether enough said yes.
    pub fn is_met(&self) -> bool {
        self.quorum.is_met(&self.approvals(), self.release.as_ref())
    }

    /// Who is still waited for.
    pub fn missing(&self) -> Missing {
        let given = self.approvals();
        let given: Vec<&Approval> = given.iter().collect();
        let people: BTreeSet<&str> = self.yes.iter().map(|yes| yes.person.as_str()).collect();
        // As many roles as can be filled by people of their own, one after the other.
        let (mut filled, mut open) = (Vec::new(), BTreeSet::new());
        for role in &self.quorum.one_of_each {
            filled.push(*role);
            if !can_fill(&filled, &given, &mut BTreeSet::new()) {
                filled.pop();
                open.insert(*role);
            }
        }
        let keys: BTreeSet<&str> = self.yes.iter().filter_map(|yes| yes.signed_by.as_deref()).collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Missing {
            signatures: self.quorum.signatures.saturating_sub(count(keys.len())),
            people: self
                .quorum
                .people
                .saturating_sub(count(people.len()))
                .max(count(open.len())),
            one_of_each: open,
        }
    }

    /// Whether a person may say yes or no at this moment. `content` is what would be done now.
    ///
    /// # Errors
    /// When not.
    pub fn may_speak(&self, roles: &[OpsRole], content: &Digest, now: Timestamp) -> Result<(), Refused> {
        if self.standing != Standing::Pending {
            return Err(Refused::Over(self.standing));
        }
        if *content != self.content {
            return Err(Refused::Changed);
        }
        if now >= self.expires_at {
            return Err(Refused::TooLate);
        }
        if roles.is_empty() {
            return Err(Refused::NoRole);
        }
        Ok(())
    }

    /// Takes a yes; where the question stands then.
    ///
    /// # Errors
    /// When it does not count.
    pub fn say_yes(&mut self, yes: Yes, content: &Digest) -> Result<Standing, Refused> {
        self.may_speak(&yes.roles, content, yes.at)?;
        if self.wanted_by.as_ref() == Some(&yes.person) {
            return Err(Refused::Own);
        }
        let key_is_known = |said: &Yes| said.signed_by.is_some() && said.signed_by == yes.signed_by;
        if self.yes.iter().any(key_is_known) {
            return Err(Refused::SameKey);
        }
        match self.yes.iter_mut().find(|said| said.person == yes.person) {
            None => self.yes.push(yes),
            // Whoever said yes may sign for it later: that is the same yes.
            Some(said) if said.signed_by.is_none() && yes.signed_by.is_some() => said.signed_by = yes.signed_by,
            Some(_) => return Err(Refused::Twice),
        }
        if self.is_met() {
            self.standing = Standing::Approved;
        }
        Ok(self.standing)
    }

    /// Takes a no, which ends it. Whoever wants it, or said yes before, may say no.
    ///
    /// # Errors
    /// When it does not count.
    pub fn say_no(&mut self, roles: &[OpsRole], content: &Digest, now: Timestamp) -> Result<(), Refused> {
        self.may_speak(roles, content, now)?;
        self.standing = Standing::Rejected;
        Ok(())
    }

    /// Asks again for as many as the policy wants by now; whether anything is otherwise.
    pub fn ask(&mut self, quorum: &Quorum, expires_at: Timestamp) -> bool {
        let was = (self.standing, self.quorum.clone(), self.expires_at);
        if self.standing.is_live() {
            quorum.clone_into(&mut self.quorum);
            self.expires_at = expires_at;
            self.standing = if self.is_met() {
                Standing::Approved
            } else {
                Standing::Pending
            };
        }
        was != (self.standing, self.quorum.clone(), self.expires_at)
    }

    /// Ends what nobody decided in time, and what is not what would be done any more; whether it did.
    pub fn end(&mut self, as_what: Standing) -> bool {
        let may = match as_what {
            Standing::Expired => self.standing == Standing::Pending,
            Standing::Void => self.standing.is_live(),
            _ => false,
        };
        if may {
            self.standing = as_what;
        }
        may
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
