//! A change of the policy by people: what is named is checked strictly, what is not stays as it is.

use std::{fmt, ops::RangeInclusive};

use plugmend_shared::{detect::Severity, ids::MerchantId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::PolicyRow;

/// The most merchants that a list may name.
const LONGEST_LIST: usize = 10_000;

/// What is to be changed: any of the columns of `ops_policy`, in their units.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// False stops every automatic change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopatch_enabled: Option<bool>,
    /// Merchants whose plugins may heal by themselves; empty for everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopatch_whitelist: Option<Vec<MerchantId>>,
    /// The worst that heals by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopatch_max_severity: Option<Severity>,
    /// Whether a new major version takes a quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_multisig_for_major: Option<bool>,
    /// Whether a release of high impact takes a quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_multisig_for_high_impact: Option<bool>,
    /// People in a quorum, 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multisig_quorum_count: Option<i32>,
    /// Whether a release is tried in the sandbox first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_staging_test: Option<bool>,
    /// Seconds, 1 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging_timeout_seconds: Option<i32>,
    /// Seconds, 1 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_timeout_seconds: Option<i32>,
    /// Seconds, 1 to 3600, no more than the timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_interval_seconds: Option<i32>,
    /// Percent, 0 to 100, two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rollback_on_error_rate_threshold: Option<f64>,
    /// Seconds, 1 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rollback_on_heartbeat_missed_seconds: Option<i32>,
    /// 0 to 1, three decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sira_min_confidence: Option<f64>,
    /// Whether outcomes change later decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sira_learning_enabled: Option<bool>,
    /// Percent of the merchants that go first, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_percentage: Option<i32>,
    /// Merchants that go first in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_merchants: Option<Vec<MerchantId>>,
    /// Cures that a plugin may be given in 24 hours, 0 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopatch_max_attempts_per_day: Option<i32>,
    /// Seconds, 0 to 604800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopatch_cooldown_seconds: Option<i32>,
    /// Percent of the fleet, 0 to 100, two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autopatch_max_fleet_percent: Option<f64>,
}

/// A field that can not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub field: &'static str,
    /// What it takes.
    pub takes: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} takes {}", self.field, self.takes)
    }
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", words(.0))]
pub struct BadChange(pub Vec<Problem>);

fn words(problems: &[Problem]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}

impl PolicyChange {
    /// What the policy would be.
    ///
    /// # Errors
    /// With every field that can not be so.
    pub fn apply(&self, was: &PolicyRow) -> Result<PolicyRow, BadChange> {
        let mut is = was.clone();
        self.write(&mut is);
        let mut found = self.out_of_bounds();
        let says_pace = self.health_check_interval_seconds.or(self.health_check_timeout_seconds);
        if says_pace.is_some() && is.health_check_interval_seconds > is.health_check_timeout_seconds {
            found.push(Problem {
                field: "health_check_interval_seconds",
                takes: "no more than health_check_timeout_seconds".to_owned(),
            });
        }
        if found.is_empty() {
            Ok(is)
        } else {
            Err(BadChange(found))
        }
    }

    fn write(&self, is: &mut PolicyRow) {
        macro_rules! take {
            ($($field:ident),* $(,)?) => { $(if let Some(value) = self.$field { is.$field = value; })* };
        }
        take!(
            autopatch_enabled,
            require_multisig_for_major,
            require_multisig_for_high_impact,
            multisig_quorum_count,
            require_staging_test,
            staging_timeout_seconds,
            health_check_timeout_seconds,
            health_check_interval_seconds,
            auto_rollback_on_error_rate_threshold,
            auto_rollback_on_heartbeat_missed_seconds,
            sira_min_confidence,
            sira_learning_enabled,
            canary_percentage,
            autopatch_max_attempts_per_day,
            autopatch_cooldown_seconds,
            autopatch_max_fleet_percent,
        );
        if let Some(severity) = self.autopatch_max_severity {
            severity.as_str().clone_into(&mut is.autopatch_max_severity);
        }
        if let Some(merchants) = &self.autopatch_whitelist {
            is.autopatch_whitelist = json!(merchants);
        }
        if let Some(merchants) = &self.canary_merchants {
            is.canary_merchants = json!(merchants);
        }
    }

    fn out_of_bounds(&self) -> Vec<Problem> {
        let whole = [
            ("multisig_quorum_count", self.multisig_quorum_count, 1..=10),
            ("staging_timeout_seconds", self.staging_timeout_seconds, 1..=3600),
            (
                "health_check_timeout_seconds",
                self.health_check_timeout_seconds,
                1..=3600,
            ),
            (
                "health_check_interval_seconds",
                self.health_check_interval_seconds,
                1..=3600,
            ),
            (
                "auto_rollback_on_heartbeat_missed_seconds",
                self.auto_rollback_on_heartbeat_missed_seconds,
                1..=3600,
            ),
            ("canary_percentage", self.canary_percentage, 0..=100),
            (
                "autopatch_max_attempts_per_day",
                self.autopatch_max_attempts_per_day,
                0..=1000,
            ),
            (
                "autopatch_cooldown_seconds",
                self.autopatch_cooldown_seconds,
                0..=7 * 24 * 3600,
            ),
        ];
        let broken = [
            (
                "auto_rollback_on_error_rate_threshold",
                self.auto_rollback_on_error_rate_threshold,
                100.0,
                2,
            ),
            ("sira_min_confidence", self.sira_min_confidence, 1.0, 3),
            (
                "autopatch_max_fleet_percent",
                self.autopatch_max_fleet_percent,
                100.0,
                2,
            ),
        ];
        let lists = [
            ("autopatch_whitelist", self.autopatch_whitelist.as_ref()),
            ("canary_merchants", self.canary_merchants.as_ref()),
        ];
        let mut found: Vec<Problem> = Vec::new();
        found.extend(whole.into_iter().filter_map(in_range));
        found.extend(broken.into_iter().filter_map(up_to));
        found.extend(lists.into_iter().filter_map(short));
        found
    }
}

fn in_range((field, value, range): (&'static str, Option<i32>, RangeInclusive<i32>)) -> Option<Problem> {
    value.filter(|value| !range.contains(value)).map(|_| Problem {
        field,
        takes: format!("{} to {}", range.start(), range.end()),
    })
}

fn short((field, list): (&'static str, Option<&Vec<MerchantId>>)) -> Option<Problem> {
    list.filter(|list| list.len() > LONGEST_LIST).map(|_| Problem {
        field,
        takes: format!("at most {LONGEST_LIST} merchants"),
    })
}

/// Finite, from 0 to `most`, and stored as it is said: no more than `decimals` digits.
fn up_to((field, value, most, decimals): (&'static str, Option<f64>, f64, i32)) -> Option<Problem> {
    let is_fine = |value: f64| {
        let scaled = value * 10_f64.powi(decimals);
        (0.0..=most).contains(&value) && (scaled - scaled.round()).abs() < 1e-6
    };
    value.filter(|value| !is_fine(*value)).map(|_| Problem {
        field,
        takes: format!("0 to {most} with at most {decimals} decimals"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::domain::policy::Policy;

    fn change(body: Value) -> PolicyChange {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_is_not_named_stays() {
        let row = PolicyRow::default();
        assert_eq!(PolicyChange::default().apply(&row), Ok(row.clone()));
        let is = change(json!({ "sira_min_confidence": 0.9 })).apply(&row).unwrap();
        let wanted = PolicyRow {
            sira_min_confidence: 0.9,
            ..row
        };
        assert_eq!(is, wanted);
    }

    #[test]
    fn every_field_that_can_not_be_is_named() {
        let wrong = change(
            json!({ "multisig_quorum_count": 0, "sira_min_confidence": 1.01, "canary_percentage": -1,
            "autopatch_max_fleet_percent": 5.001, "health_check_interval_seconds": 91 }),
        );
        let BadChange(found) = wrong.apply(&PolicyRow::default()).unwrap_err();
        let fields: Vec<&str> = found.iter().map(|problem| problem.field).collect();
        let wanted = [
            "multisig_quorum_count",
            "canary_percentage",
            "sira_min_confidence",
            "autopatch_max_fleet_percent",
            "health_check_interval_seconds",
        ];
        assert_eq!(fields, wanted);
    }

    #[test]
    fn nothing_unknown_is_taken() {
        for body in [
            json!({ "autopatch": true }),
            json!({ "autopatch_max_severity": "worst" }),
            json!({ "autopatch_whitelist": ["nobody"] }),
            json!({ "autopatch_enabled": "yes" }),
            json!({ "multisig_quorum_count": 1.5 }),
        ] {
            assert!(serde_json::from_value::<PolicyChange>(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_row_that_was_spoilt_by_hand_can_be_mended_field_by_field() {
        let spoilt = PolicyRow {
            health_check_interval_seconds: 500,
            canary_percentage: 900,
            ..PolicyRow::default()
        };
        assert!(change(json!({ "canary_percentage": 10 })).apply(&spoilt).is_ok());
        assert!(
            change(json!({ "health_check_interval_seconds": 3 }))
                .apply(&spoilt)
                .is_ok()
        );
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_counts(confidence in -0.5_f64..1.5, percent in -5.0_f64..120.0, quorum in -3_i32..14) {
            let wanted = PolicyChange {
                sira_min_confidence: Some((confidence * 1000.0).round() / 1000.0),
                autopatch_max_fleet_percent: Some((percent * 100.0).round() / 100.0),
                multisig_quorum_count: Some(quorum),
                ..PolicyChange::default()
            };
            if let Ok(row) = wanted.apply(&PolicyRow::default()) {
                let policy = Policy::from(row.clone());
                prop_assert!((policy.min_confidence - row.sira_min_confidence).abs() < 1e-12);
                prop_assert!((policy.max_fleet_share * 100.0 - row.autopatch_max_fleet_percent).abs() < 1e-9);
                prop_assert_eq!(i64::from(policy.multisig_quorum), i64::from(row.multisig_quorum_count));
            }
        }
    }
}
