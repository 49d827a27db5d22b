//! Every field of the policy has effect, and what can not be read means no.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    bundle::manifest::Impact,
    detect::{IncidentType, Severity},
    ids::{Digest, MerchantId, PluginId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Cure, MaintenanceWindow, PluginFacts, Policy, PolicyRow, Reason, ReleaseFacts, Verdict, judge};
use crate::domain::{
    approval::{Approval, OpsRole},
    attempt::{Method, Origin},
    incident::{Incident, Status},
};

pub(super) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A case: the worked example's, unless changed.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) row: PolicyRow,
    pub(super) incident: Incident,
    pub(super) cure: Cure,
    pub(super) release: Option<ReleaseFacts>,
    pub(super) plugin: PluginFacts,
}

pub(super) fn example() -> Case {
    let merchant_id = MerchantId(Uuid::from_u128(7));
    Case {
        row: PolicyRow::default(),
        incident: Incident {
            id: Uuid::nil(),
            plugin_id: PluginId(Uuid::nil()),
            incident_type: IncidentType::WebhookFailRate,
            severity: Severity::Medium,
            status: Status::Open,
            status_since: NOW,
            detected_at: NOW,
        },
        cure: Cure {
            method: Method::Patch,
            to_version: Some("1.2.3".parse().unwrap()),
            confidence: 0.87,
            impact: None,
            origin: Origin::Automatic,
        },
        release: Some(ReleaseFacts {
            digest: Digest::of(b"1.2.3"),
            impact: Impact::Medium,
            approvals_required: 0,
            is_available: true,
            quarantined_here: false,
            quarantined_everywhere: false,
        }),
        plugin: PluginFacts {
            merchant_id,
            current_version: Some("1.2.2".parse().unwrap()),
            is_served: true,
            is_capable: true,
            opted_out: false,
            maintenance_window: None,
            attempts_last_day: 0,
            last_ended_at: None,
            fleet_changing: 0,
            fleet_size: 100,
            approvals: Vec::new(),
        },
    }
}

impl Case {
    pub(super) fn verdict(&self) -> Verdict {
        let policy = Policy::from(self.row.clone());
        judge(
            &policy,
            self.incident.severity,
            &self.cure,
            self.release.as_ref(),
            &self.plugin,
            NOW,
        )
    }

    fn codes(&self) -> Vec<&'static str> {
        match self.verdict() {
            Verdict::Allow => Vec::new(),
            Verdict::NeedsApproval { reasons, .. } | Verdict::Refuse { reasons, .. } => {
                reasons.iter().map(Reason::code).collect()
            }
        }
    }

    pub(super) fn approved(mut self, people: &[(&str, OpsRole)]) -> Self {
        let release_digest = self.release.as_ref().map(|release| release.digest);
        self.plugin.approvals = people
            .iter()
            .map(|(user, role)| Approval {
                user_id: (*user).to_owned(),
                role: *role,
                approved_at: NOW,
                release_digest,
                content_digest: None,
                signed_by: None,
            })
            .collect();
        self
    }
}

/// A change to a case that one field of the policy then judges.
type Change = fn(&mut Case);
/// A field of `ops_policy`, the change, and the reason that the changed case is given.
type Line = (&'static str, Change, &'static str);

/// Every field of `ops_policy` that judges, with a change that it then objects to.
const JUDGING: [Line; 12] = [
    (
        "autopatch_enabled",
        |case| case.row.autopatch_enabled = false,
        "autopatch_disabled",
    ),
    (
        "autopatch_whitelist",
        |case| case.row.autopatch_whitelist = json!([Uuid::from_u128(8).to_string()]),
        "not_whitelisted",
    ),
    (
        "autopatch_max_severity",
        |case| case.row.autopatch_max_severity = "low".into(),
        "severity_too_high",
    ),
    (
        "require_multisig_for_major",
        |case| case.cure.to_version = Some("2.0.0".parse().unwrap()),
        "major_version",
    ),
    (
        "require_multisig_for_high_impact",
        |case| case.release.as_mut().unwrap().impact = Impact::High,
        "high_impact",
    ),
    (
        "sira_min_confidence",
        |case| case.row.sira_min_confidence = 0.9,
        "low_confidence",
    ),
    (
        "canary_percentage",
        |case| case.row.canary_percentage = 1,
        "not_in_canary",
    ),
    (
        "canary_merchants",
        |case| case.row.canary_merchants = json!([Uuid::from_u128(8).to_string()]),
        "not_in_canary",
    ),
    (
        "autopatch_max_attempts_per_day",
        |case| case.row.autopatch_max_attempts_per_day = 0,
        "too_many_attempts",
    ),
    (
        "autopatch_cooldown_seconds",
        |case| case.plugin.last_ended_at = Some(NOW - SignedDuration::from_secs(599)),
        "cooling_down",
    ),
    (
        "autopatch_max_fleet_percent",
        |case| case.plugin.fleet_changing = 5,
        "fleet_changing",
    ),
    (
        "multisig_quorum_count",
        |case| case.cure.to_version = Some("2.0.0".parse().unwrap()),
        "major_version",
    ),
];

#[test]
fn the_worked_example_is_allowed() {
    assert_eq!(example().verdict(), Verdict::Allow);
}

#[test]
fn every_field_that_judges_has_effect() {
    for (field, change, code) in JUDGING {
        let mut case = example();
        change(&mut case);
        assert_eq!(case.codes(), [code], "{field}");
    }
}

#[test]
fn the_fields_that_lift_an_objection_do() {
    let mut major = example();
    major.cure.to_version = Some("2.0.0".parse().unwrap());
    major.row.require_multisig_for_major = false;
    assert_eq!(major.verdict(), Verdict::Allow);
    let mut high = example();
    high.cure.impact = Some(Impact::High);
    assert_eq!(high.codes(), ["high_impact"]);
    high.row.require_multisig_for_high_impact = false;
    assert_eq!(high.verdict(), Verdict::Allow);
    let mut rested = example();
    rested.plugin.last_ended_at = Some(NOW - SignedDuration::from_secs(10));
    rested.row.autopatch_cooldown_seconds = 10;
    assert_eq!(rested.verdict(), Verdict::Allow);
}

#[test]
fn the_fields_that_say_how_have_effect() {
    let changed = PolicyRow {
        require_staging_test: false,
        staging_timeout_seconds: 7,
        health_check_timeout_seconds: 8,
        health_check_interval_seconds: 9,
        auto_rollback_on_error_rate_threshold: 25.0,
        auto_rollback_on_heartbeat_missed_seconds: 11,
        sira_learning_enabled: false,
        ..PolicyRow::default()
    };
    let policy = Policy::from(changed);
    assert!(!policy.require_staging && !policy.learning_enabled);
    assert_eq!(policy.staging_timeout, SignedDuration::from_secs(7));
    let health = policy.health;
    assert_eq!(
        (
            health.health_check_timeout_seconds,
            health.health_check_interval_seconds
        ),
        (8, 9)
    );
    assert_eq!(health.auto_rollback_on_heartbeat_missed_seconds, 11);
    assert!((health.auto_rollback_on_error_rate_threshold - 0.25).abs() < 1e-12);
}

#[test]
fn a_quorum_is_two_people_of_two_roles_about_this_release() {
    let mut case = example();
    case.cure.to_version = Some("2.0.0".parse().unwrap());
    let (ada, bob) = (("ada", OpsRole::PayAdmin), ("bob", OpsRole::ComplianceOps));
    assert_eq!(case.clone().approved(&[ada]).codes(), ["major_version"]);
    assert_eq!(case.clone().approved(&[ada, bob]).verdict(), Verdict::Allow);
    let mut other_release = case.clone().approved(&[ada, bob]);
    other_release.release.as_mut().unwrap().digest = Digest::of(b"another");
    assert_eq!(other_release.codes(), ["major_version"]);
    case.row.multisig_quorum_count = 3;
    assert_eq!(case.clone().approved(&[ada, bob]).codes(), ["major_version"]);
    case.row.multisig_quorum_count = 1;
    assert_eq!(case.approved(&[bob]).verdict(), Verdict::Allow);
}

#[test]
fn what_can_not_be_read_means_no() {
    let broken: [Change; 6] = [
        |case| case.row.autopatch_whitelist = json!({}),
        |case| case.row.autopatch_whitelist = json!(["nobody"]),
        |case| case.row.autopatch_max_severity = "whatever".into(),
        |case| case.row.sira_min_confidence = f64::NAN,
        |case| case.row.canary_merchants = Value::Null,
        |case| case.row.canary_merchants = json!([7]),
    ];
    for (number, change) in broken.into_iter().enumerate() {
        let mut case = example();
        change(&mut case);
        assert_ne!(case.verdict(), Verdict::Allow, "{number}");
    }
    let mut unsure = example();
    unsure.cure.confidence = f64::NAN;
    assert_eq!(unsure.codes(), ["low_confidence"]);
    let mut no_share = example();
    no_share.row.autopatch_max_fleet_percent = f64::NAN;
    assert_eq!(no_share.codes(), ["fleet_changing"]);
}

#[test]
fn a_merchant_decides_whether_and_when() {
    let mut out = example().approved(&[("ada", OpsRole::PayAdmin)]);
    out.plugin.opted_out = true;
    assert_eq!(out.codes(), ["merchant_opted_out"]);
    let mut closed = example();
    // NOW is 08:00 UTC.
    closed.plugin.maintenance_window =
        Some(serde_json::from_value::<MaintenanceWindow>(json!({ "from": "09:00", "to": "10:00" })).unwrap());
    let Verdict::Refuse { again_at, .. } = closed.verdict() else {
        panic!("not refused");
    };
    assert_eq!(again_at, Some(NOW + SignedDuration::from_hours(1)));
}

#[test]
fn a_person_is_bound_by_the_quorum_and_by_quarantine_only() {
    let mut case = example();
    case.cure.origin = Origin::Person;
    case.cure.confidence = 0.0;
    case.incident.severity = Severity::Critical;
    case.row.autopatch_enabled = false;
    case.plugin.opted_out = true;
    assert_eq!(case.verdict(), Verdict::Allow);
    case.cure.to_version = Some("2.0.0".parse().unwrap());
    assert_eq!(case.codes(), ["major_version"]);
    case.release.as_mut().unwrap().quarantined_everywhere = true;
    assert_eq!(case.codes(), ["release_quarantined_everywhere"]);
}
