//! Whatever the facts, some things stay true.

use plugmend_shared::{detect::Severity, ids::MerchantId};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Policy, PolicyRow, Verdict, in_canary,
    tests::{Case, NOW, example},
};
use crate::domain::approval::OpsRole;

fn any_case() -> impl Strategy<Value = Case> {
    let row = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        -2_i32..200,
        -5.0_f64..200.0,
        -0.5_f64..1.5,
        0_i32..4,
    );
    let facts = (
        any::<[bool; 6]>(),
        0_u32..6,
        0_u64..40,
        0_u64..400,
        0_usize..4,
        prop::sample::select(vec![1_u64, 2, 9]),
    );
    (row, facts).prop_map(|(row, facts)| {
        let mut case = example();
        (case.row.autopatch_enabled, case.row.require_multisig_for_major) = (row.0, row.1);
        case.row.require_multisig_for_high_impact = row.2;
        case.row.canary_percentage = row.3;
        case.row.autopatch_max_fleet_percent = row.4;
        case.row.sira_min_confidence = row.5;
        case.row.multisig_quorum_count = row.6;
        let [served, capable, out, available, here, everywhere] = facts.0;
        (case.plugin.is_served, case.plugin.is_capable, case.plugin.opted_out) = (served, capable, out);
        if let Some(release) = &mut case.release {
            (
                release.is_available,
                release.quarantined_here,
                release.quarantined_everywhere,
            ) = (available, here, everywhere);
        }
        (
            case.plugin.attempts_last_day,
            case.plugin.fleet_changing,
            case.plugin.fleet_size,
        ) = (facts.1, facts.2, facts.3);
        case.incident.severity = Severity::ALL[facts.4];
        case.cure.to_version = Some(semver::Version::new(facts.5, 0, 0));
        case
    })
}

proptest! {
    #[test]
    fn the_kill_switch_stops_everything_automatic(mut case in any_case()) {
        case.row.autopatch_enabled = false;
        let refused = matches!(case.verdict(), Verdict::Refuse { .. });
        prop_assert!(refused);
    }

    #[test]
    fn what_failed_before_is_never_installed_again(case in any_case()) {
        let release = case.release.clone().unwrap();
        if release.quarantined_here || release.quarantined_everywhere || !release.is_available {
            let refused = matches!(case.verdict(), Verdict::Refuse { again_at: None, .. });
            prop_assert!(refused);
        }
    }

    #[test]
    fn no_approval_changes_a_refusal(case in any_case()) {
        let approved = case.clone().approved(&[("a", OpsRole::PayAdmin), ("b", OpsRole::ComplianceOps), ("c", OpsRole::PayAdmin)]);
        if matches!(case.verdict(), Verdict::Refuse { .. }) {
            prop_assert_eq!(case.verdict(), approved.verdict());
        } else {
            prop_assert_eq!(approved.verdict(), Verdict::Allow);
        }
    }

    #[test]
    fn a_refusal_and_a_question_have_reasons_and_a_later_look_is_later(case in any_case()) {
        match case.verdict() {
            Verdict::Allow => {}
            Verdict::NeedsApproval { of, reasons } => prop_assert!(!reasons.is_empty() && of.people >= 1),
            Verdict::Refuse { reasons, again_at } => {
                prop_assert!(!reasons.is_empty());
                prop_assert!(again_at.is_none_or(|at| at > NOW));
            }
        }
    }

    #[test]
    fn who_is_in_the_canary_stays_in_it(merchant: u128, less in 1_i32..100, more in 1_i32..100) {
        let policy = |canary_percentage| Policy::from(PolicyRow { canary_percentage, ..PolicyRow::default() });
        let merchant = MerchantId(Uuid::from_u128(merchant));
        let (less, more) = (less.min(more), less.max(more));
        prop_assert!(!in_canary(&policy(less), merchant) || in_canary(&policy(more), merchant));
        prop_assert!(in_canary(&policy(100), merchant) && in_canary(&policy(0), merchant));
    }
}

#[test]
fn a_canary_share_is_that_share() {
    let policy = Policy::from(PolicyRow {
        canary_percentage: 20,
        ..PolicyRow::default()
    });
    let inside = (0..5000_u128)
        .filter(|n| in_canary(&policy, MerchantId(Uuid::from_u128(*n))))
        .count();
    assert!((900..1100).contains(&inside), "{inside} of 5000");
}
