//! One try at a cure: what it may become, and how long it may stay what it is.
//!
//! ```text
//! pending -> staging -> applying -> success -> rolled_back (taken back)
//!    |          |          |---> rolled_back (the agent went back)
//!    +----------+----------+---> failed, cancelled
//! ```

mod outcome;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    bundle::manifest::Impact,
    ids::{AttemptId, CommandId, Digest, PluginId, Product},
    protocol::command::CommandKind,
};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use super::decision::Method;
use super::{
    approval::{Approval, Content},
    status::{Illegal, named},
};

pub use outcome::{CommandEnd, Ending, Fault, read_end};

/// `plugin_autopatch_attempts.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits to be begun, or to be approved.
    Pending,
    /// Its smoke tests are running.
    Staging,
    /// Its order is with the plugin.
    Applying,
    /// It was applied, and held.
    Success,
    /// It was not applied.
    Failed,
    /// It was applied and taken back.
    RolledBack,
    /// It was called off.
    Cancelled,
}

/// Every status.
pub const STATUSES: [Status; 7] = [
    Status::Pending,
    Status::Staging,
    Status::Applying,
    Status::Success,
    Status::Failed,
    Status::RolledBack,
    Status::Cancelled,
];

/// What this is a status of, in errors.
const WHAT: &str = "an attempt";
named!(Status, STATUSES, WHAT);

/// How long an attempt that needs nobody may wait to be begun.
const PENDING_LASTS: SignedDuration = SignedDuration::from_hours(2);
/// How long people may take to approve.
const APPROVAL_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// What staging may take beyond its own limit: the way there and back, and a runner that starts anew.
const STAGING_MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// An order is good for an hour, its last try may begin at the end of it and be carried out for two, and then the
/// plugin must be heard.
const APPLYING_LASTS: SignedDuration = SignedDuration::from_hours(4);

impl Status {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Staging => "staging",
            Self::Applying => "applying",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is still on its way.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Staging | Self::Applying)
    }

    /// Checks a transition.
    ///
    /// # Errors
    /// When there is none.
    pub fn to(self, to: Self) -> Result<Self, Illegal<Self>> {
        let legal = match self {
            Self::Pending => matches!(to, Self::Staging | Self::Applying | Self::Failed | Self::Cancelled),
            Self::Staging => matches!(to, Self::Applying | Self::Failed | Self::Cancelled),
            Self::Applying => matches!(to, Self::Success | Self::Failed | Self::RolledBack | Self::Cancelled),
            Self::Success => to == Self::RolledBack,
            Self::Failed | Self::RolledBack | Self::Cancelled => false,
        };
        let illegal = Illegal {
            what: WHAT,
            from: self,
            to,
        };
        if legal { Ok(to) } else { Err(illegal) }
    }

    /// How long it may stay so before people are called; none for an end.
    pub fn lasts(self, requires_approval: bool, staging_timeout: SignedDuration) -> Option<SignedDuration> {
        match self {
            Self::Pending if requires_approval => Some(APPROVAL_LASTS),
            Self::Pending => Some(PENDING_LASTS),
            Self::Staging => Some(staging_timeout + STAGING_MARGIN),
            Self::Applying => Some(APPLYING_LASTS),
            Self::Success | Self::Failed | Self::RolledBack | Self::Cancelled => None,
        }
    }
}

/// Whether a method installs a release that must be known and signed. Back to "the one before" needs no name.
pub fn installs(method: Method) -> bool {
    matches!(method, Method::Patch | Method::Hotfix | Method::Reinstall)
}

/// Whether what a method installs is new to the plugin, so that it is tried in the sandbox first. What it runs, or ran
/// before, was.
pub fn stages(method: Method) -> bool {
    matches!(method, Method::Patch | Method::Hotfix)
}

/// The order that carries a method out.
pub fn order_kind(method: Method) -> CommandKind {
    match method {
        Method::Patch | Method::Hotfix | Method::Reinstall => CommandKind::Update,
        Method::ConfigFix => CommandKind::ConfigUpdate,
        Method::Rollback => CommandKind::Rollback,
    }
}

/// Who wants a cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The loop itself.
    Automatic,
    /// A person of ops.
    Person,
}

impl Origin {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Person => "person",
        }
    }
}

/// One try at a cure (`plugin_autopatch_attempts`).
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// What it is to cure.
    pub incident_id: Uuid,
    /// On which plugin.
    pub plugin_id: PluginId,
    /// Where it stands.
    pub status: Status,
    /// Who wants it.
    pub origin: Origin,
    /// How.
    pub method: Method,
    /// What runs there, as the plugin says.
    pub from_version: String,
    /// To which version.
    pub to_version: Option<Version>,
    /// Of what.
    pub product: Option<Product>,
    /// Exactly which release.
    pub release_digest: Option<Digest>,
    /// Settings to set, for `config_fix`.
    pub config: Option<Map<String, Value>>,
    /// That it works, 0 to 1.
    pub confidence: f64,
    /// What the decider thinks a mistake would cost.
    pub impact: Option<Impact>,
    /// Whether people must say yes.
    pub requires_approval: bool,
    /// Who said yes.
    pub approvals: Vec<Approval>,
    /// Whether the sandbox let it pass; none before it was tried there.
    pub staged: Option<bool>,
    /// How often the sandbox could not be had.
    pub staging_tries: u32,
    /// The order that carries it out, once it is given.
    pub command_id: Option<CommandId>,
    /// When its order was found ended.
    pub order_ended_at: Option<Timestamp>,
    /// Since when it stands where it does.
    pub status_since: Timestamp,
    /// When people are called.
    pub deadline_at: Timestamp,
}

impl Attempt {
    /// A name for everything that it would do.
    pub fn content(&self) -> Digest {
        let content = Content {
            action: self.method.as_str(),
            plugin: self.plugin_id,
            product: self.product.as_ref(),
            version: self.to_version.as_ref(),
            release: self.release_digest.as_ref(),
            settings: self.config.as_ref(),
            reinstall: false,
        };
        content.digest()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_status() -> impl Strategy<Value = Status> {
        prop::sample::select(STATUSES.to_vec())
    }

    proptest! {
        #[test]
        fn whatever_is_asked_an_attempt_ends_once(wanted in prop::collection::vec(any_status(), 0..50)) {
            let (mut status, mut ends, mut steps) = (Status::Pending, 0, 0);
            for to in wanted {
                let was = status;
                if let Ok(next) = status.to(to) {
                    status = next;
                    steps += 1;
                    prop_assert!(was.is_live() || (was, to) == (Status::Success, Status::RolledBack));
                    ends += u32::from(was.is_live() && !next.is_live());
                }
            }
            prop_assert!(ends <= 1 && steps <= 4);
        }

        #[test]
        fn what_is_on_its_way_has_a_longest_duration(status in any_status(), approval: bool) {
            let lasts = status.lasts(approval, SignedDuration::from_mins(5));
            prop_assert_eq!(lasts.is_some(), status.is_live());
        }

        #[test]
        fn names_are_read_back(status in any_status()) {
            prop_assert_eq!(status.as_str().parse::<Status>(), Ok(status));
        }
    }

    #[test]
    fn nothing_is_applied_twice_or_after_its_end() {
        for status in STATUSES {
            let may = status.to(Status::Applying).is_ok();
            assert_eq!(may, matches!(status, Status::Pending | Status::Staging), "{status}");
        }
    }
}
