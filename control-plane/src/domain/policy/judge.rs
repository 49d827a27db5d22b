//! The judgement.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    bundle::manifest::Impact,
    detect::Severity,
    ids::{Digest, MerchantId},
};
use semver::Version;

use super::{Cure, PluginFacts, Policy, Reason, ReleaseFacts, Verdict, Whitelist};
use crate::domain::{
    approval::{OpsRole, Quorum},
    attempt::{Origin, installs, stages},
};

/// When what may pass by itself is looked at again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// The fleet's share leaves room for one plugin, however small the fleet.
const ALWAYS_CHANGING: u64 = 1;

/// Judges a cure for an incident of that severity. `release` is what would be installed; none for settings, and for a release that is
/// not known.
pub fn judge(
    policy: &Policy,
    severity: Severity,
    cure: &Cure,
    release: Option<&ReleaseFacts>,
    plugin: &PluginFacts,
    now: Timestamp,
) -> Verdict {
    let never = never(cure, release, plugin);
    if !never.is_empty() {
        return Verdict::Refuse {
            reasons: never,
            again_at: None,
        };
    }
    let (not_now, again_at) = not_now(policy, cure, plugin, now);
    if !not_now.is_empty() {
        return Verdict::Refuse {
            reasons: not_now,
            again_at: Some(again_at),
        };
    }
    let asked = questions(policy, severity, cure, release, plugin);
    let of = asked
        .iter()
        .map(|(_, quorum)| quorum.clone())
        .reduce(|one, other| one.and(&other));
    match of {
        Some(of) if !of.is_met(&plugin.approvals, release.map(|release| &release.digest)) => Verdict::NeedsApproval {
            of,
            reasons: asked.into_iter().map(|(reason, _)| reason).collect(),
        },
        _ => Verdict::Allow,
    }
}

/// What no approval and no waiting changes.
fn never(cure: &Cure, release: Option<&ReleaseFacts>, plugin: &PluginFacts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !plugin.is_served {
        reasons.push(Reason::NotServed);
    }
    if !plugin.is_capable {
        reasons.push(Reason::Incapable);
    }
    if plugin.opted_out && cure.origin == Origin::Automatic {
        reasons.push(Reason::MerchantOptedOut);
    }
    match release {
        Some(release) => {
            if !release.is_available {
                reasons.push(Reason::ReleaseNotAvailable);
            }
            if release.quarantined_here {
                reasons.push(Reason::QuarantinedHere);
            }
            if release.quarantined_everywhere {
                reasons.push(Reason::QuarantinedEverywhere);
            }
        }
        None if installs(cure.method) => reasons.push(Reason::ReleaseNotAvailable),
        None => {}
    }
    reasons
}

/// What passes: the reasons, and when to look again.
fn not_now(policy: &Policy, cure: &Cure, plugin: &PluginFacts, now: Timestamp) -> (Vec<Reason>, Timestamp) {
    let (mut reasons, mut again_at) = (Vec::new(), now + LOOK_AGAIN);
    if cure.origin == Origin::Person {
        return (reasons, again_at);
    }
    if !policy.autopatch_enabled {
        reasons.push(Reason::AutopatchDisabled);
    }
    if let Some(window) = plugin.maintenance_window.as_ref().filter(|window| !window.is_open(now)) {
        let opens_at = window.opens_at(now);
        again_at = again_at.max(opens_at);
        reasons.push(Reason::OutsideMaintenanceWindow { opens_at });
    }
    if let Some(ended_at) = plugin.last_ended_at {
        let until = ended_at.checked_add(policy.cooldown).unwrap_or(Timestamp::MAX);
        if now < until {
            again_at = again_at.max(until);
            reasons.push(Reason::CoolingDown { until });
        }
    }
    if is_full(policy, plugin.fleet_changing, plugin.fleet_size) {
        reasons.push(Reason::FleetChanging);
    }
    (reasons, again_at)
}

/// The last question before an order of the loop's own, asked while nobody else can give one: is there still room?
pub fn judge_turn(policy: &Policy, fleet_changing: u64, fleet_size: u64, now: Timestamp) -> Verdict {
    if !is_full(policy, fleet_changing, fleet_size) {
        return Verdict::Allow;
    }
    Verdict::Refuse {
        reasons: vec![Reason::FleetChanging],
        again_at: Some(now + LOOK_AGAIN),
    }
}

fn is_full(policy: &Policy, fleet_changing: u64, fleet_size: u64) -> bool {
    fleet_changing >= may_change(policy.max_fleet_share, fleet_size)
}

/// How many plugins may be changing at the same time.
fn may_change(share: f64, fleet: u64) -> u64 {
    if share <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count that fits into 52 bits"
    )]
    let most = (fleet as f64 * share).floor() as u64;
    most.max(ALWAYS_CHANGING)
}

/// What people must say yes to, and who.
fn questions(
    policy: &Policy,
    severity: Severity,
    cure: &Cure,
    release: Option<&ReleaseFacts>,
    plugin: &PluginFacts,
) -> Vec<(Reason, Quorum)> {
    let mut asked = Vec::new();
    if cure.origin == Origin::Automatic {
        for reason in doubts(policy, severity, cure, plugin) {
            asked.push((reason, Quorum::anyone()));
        }
    }
    if let Some(release) = release.filter(|_| stages(cure.method)) {
        asked.extend(asks_for_signatures(release.approvals_required));
    }
    let impact = release.map(|release| release.impact).max(cure.impact);
    let (from, to) = (plugin.current_version.as_ref(), cure.to_version.as_ref());
    asked.extend(asks_of_release(policy, from, to, impact));
    asked
}

/// What a release takes that agents install with signed approvals only: as many people, each with a key of their own.
pub fn asks_for_signatures(required: u32) -> Option<(Reason, Quorum)> {
    let quorum = Quorum {
        people: required,
        one_of_each: BTreeSet::new(),
        signatures: required,
    };
    (required > 0).then_some((Reason::SignedApprovalsNeeded { required }, quorum))
}

/// What a change of version takes, whoever wants it.
pub fn asks_of_release(
    policy: &Policy,
    from: Option<&Version>,
    to: Option<&Version>,
    impact: Option<Impact>,
) -> Vec<(Reason, Quorum)> {
    let mut asked = Vec::new();
    let is_major = match (from, to) {
        (Some(from), Some(to)) => from.major != to.major,
        // What is not known may be anything.
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if policy.multisig_for_major && is_major {
        asked.push((Reason::MajorVersion, quorum(policy)));
    }
    if policy.multisig_for_high_impact && impact == Some(Impact::High) {
        asked.push((Reason::HighImpact, quorum(policy)));
    }
    asked
}

fn doubts(policy: &Policy, severity: Severity, cure: &Cure, plugin: &PluginFacts) -> Vec<Reason> {
    let mut doubts = Vec::new();
    match &policy.whitelist {
        Whitelist::Only(merchants) if !merchants.contains(&plugin.merchant_id) => doubts.push(Reason::NotWhitelisted),
        _ => {}
    }
    if !in_canary(policy, plugin.merchant_id) {
        doubts.push(Reason::NotInCanary);
    }
    if policy.max_severity.is_none_or(|most| severity > most) {
        doubts.push(Reason::SeverityTooHigh { severity });
    }
    // Also what is no number is not sure enough.
    let sure_enough = cure.confidence >= policy.min_confidence;
    if !sure_enough {
        doubts.push(Reason::LowConfidence {
            confidence: cure.confidence,
            wanted: policy.min_confidence,
        });
    }
    if plugin.attempts_last_day >= policy.max_attempts_per_day {
        let attempts = plugin.attempts_last_day;
        doubts.push(Reason::TooManyAttempts { attempts });
    }
    doubts
}

fn quorum(policy: &Policy) -> Quorum {
    let people = policy.multisig_quorum.max(1);
    let one_of_each = if people >= 2 {
        BTreeSet::from([OpsRole::PayAdmin, OpsRole::ComplianceOps])
    } else {
        BTreeSet::new()
    };
    Quorum {
        people,
        one_of_each,
        signatures: 0,
    }
}

/// Whether a merchant is among those who go first; everybody is when there is no canary phase. A merchant that is in
/// at some share is in at every greater one.
pub fn in_canary(policy: &Policy, merchant: MerchantId) -> bool {
    let canary = &policy.canary;
    if canary.share <= 0.0 && canary.merchants.is_empty() {
        return true;
    }
    if canary.merchants.contains(&merchant) {
        return true;
    }
    let mut salted = b"plugmend canary v1 ".to_vec();
    salted.extend_from_slice(merchant.0.as_bytes());
    let digest = Digest::of(&salted).0;
    let place = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(place) / (f64::from(u32::MAX) + 1.0) < canary.share
}
