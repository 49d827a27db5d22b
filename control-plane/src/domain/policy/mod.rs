//! May this cure be applied now, by itself? One pure function from the policy and the facts to allow, needs approval
//! (of whom) or refuse, with the reasons that people are shown.

mod change;
mod judge;
#[cfg(test)]
mod properties;
mod reason;
mod replay;
mod row;
mod schedule;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    bundle::manifest::Impact,
    detect::Severity,
    ids::{Digest, MerchantId},
    protocol::command::HealthPolicy,
};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{
    approval::{Approval, Quorum},
    attempt::{Method, Origin},
};

pub use change::{BadChange, PolicyChange, Problem};
pub use judge::{asks_for_signatures, asks_of_release, in_canary, judge, judge_turn};
pub use reason::Reason;
pub use replay::{Grounds, Outcome, ShownReason};
pub use row::PolicyRow;
pub use schedule::{BadWindow, MaintenanceWindow};

/// The policy of ops, read: shares instead of percents, and nothing in it that can not be.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of ops_policy")]
pub struct Policy {
    /// The kill switch: false stops every automatic change.
    pub autopatch_enabled: bool,
    /// Whose plugins may heal by themselves.
    pub whitelist: Whitelist,
    /// The worst that heals by itself; none when what is stored can not be read: nothing does.
    pub max_severity: Option<Severity>,
    /// Whether a new major version takes a quorum.
    pub multisig_for_major: bool,
    /// Whether a release of high impact takes a quorum.
    pub multisig_for_high_impact: bool,
    /// How many people a quorum takes.
    pub multisig_quorum: u32,
    /// Whether a release is tried in the sandbox first.
    pub require_staging: bool,
    /// How long that may take.
    pub staging_timeout: SignedDuration,
    /// How a changed plugin is watched.
    pub health: HealthPolicy,
    /// The least confidence that a cure works, 0 to 1.
    pub min_confidence: f64,
    /// Whether outcomes change later decisions.
    pub learning_enabled: bool,
    /// Which share of the merchants goes first.
    pub canary: Canary,
    /// How many cures a plugin may be given in 24 hours.
    pub max_attempts_per_day: u32,
    /// How long a plugin is left alone after a cure ended.
    pub cooldown: SignedDuration,
    /// The share of the fleet that may be changing at the same time, 0 to 1; always at least one plugin.
    pub max_fleet_share: f64,
}

/// Whose plugins may heal by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whitelist {
    /// Everybody's.
    Everybody,
    /// Theirs; nobody's when what is stored can not be read.
    Only(Vec<MerchantId>),
}

/// Who goes first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Canary {
    /// The share of the merchants, by a stable hash, 0 to 1; 0 with nobody named means that there is no canary phase.
    pub share: f64,
    /// Those who are in it in any case.
    pub merchants: Vec<MerchantId>,
}

/// The cure that is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cure {
    /// How.
    pub method: Method,
    /// To which version; none for settings.
    pub to_version: Option<Version>,
    /// That it works, 0 to 1.
    pub confidence: f64,
    /// What the decider thinks a mistake would cost.
    pub impact: Option<Impact>,
    /// Who wants it.
    pub origin: Origin,
}

/// What is known of the release that would be installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseFacts {
    /// Its name.
    pub digest: Digest,
    /// What a mistake in it could cost.
    pub impact: Impact,
    /// How many signed approvals an agent will ask for.
    pub approvals_required: u32,
    /// Whether it is published and neither revoked, blocked nor withdrawn.
    pub is_available: bool,
    /// Whether it failed on this plugin before.
    pub quarantined_here: bool,
    /// Whether it failed on so many that nobody should have it.
    pub quarantined_everywhere: bool,
}

/// What is known of the plugin and the fleet around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginFacts {
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What it runs; none when it says nothing that can be read.
    pub current_version: Option<Version>,
    /// Whether it is to be looked after at all (`active`, `error` or `pending_update`).
    pub is_served: bool,
    /// Whether it can carry out the order.
    pub is_capable: bool,
    /// Whether its merchant wants no automatic changes.
    pub opted_out: bool,
    /// When its merchant wants changes; none for any time.
    pub maintenance_window: Option<MaintenanceWindow>,
    /// How many cures it was given in the last 24 hours, this one not counted.
    pub attempts_last_day: u32,
    /// When the last of them ended.
    pub last_ended_at: Option<Timestamp>,
    /// How many plugins are being changed right now, this one not counted.
    pub fleet_changing: u64,
    /// How many plugins there are.
    pub fleet_size: u64,
    /// Approvals given for this cure.
    pub approvals: Vec<Approval>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// People must say yes first.
    NeedsApproval {
        /// Which.
        of: Quorum,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// No.
    Refuse {
        /// Why.
        reasons: Vec<Reason>,
        /// When it is worth asking again; none for never.
        again_at: Option<Timestamp>,
    },
}
