//! From what is stored to what can be judged by. People write `ops_policy` by hand: what can not be read means no.

use std::str::FromStr as _;

use jiff::SignedDuration;
use plugmend_shared::{detect::Severity, ids::MerchantId, protocol::command::HealthPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Canary, Policy, Whitelist};

/// The row of `ops_policy`, as it is stored: percents, seconds, lists in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "the columns of ops_policy, as they are"
)]
pub struct PolicyRow {
    pub autopatch_enabled: bool,
    pub autopatch_whitelist: Value,
    pub autopatch_max_severity: String,
    pub require_multisig_for_major: bool,
    pub require_multisig_for_high_impact: bool,
    pub multisig_quorum_count: i32,
    pub require_staging_test: bool,
    pub staging_timeout_seconds: i32,
    pub health_check_timeout_seconds: i32,
    pub health_check_interval_seconds: i32,
    pub auto_rollback_on_error_rate_threshold: f64,
    pub auto_rollback_on_heartbeat_missed_seconds: i32,
    pub sira_min_confidence: f64,
    pub sira_learning_enabled: bool,
    pub canary_percentage: i32,
    pub canary_merchants: Value,
    pub autopatch_max_attempts_per_day: i32,
    pub autopatch_cooldown_seconds: i32,
    pub autopatch_max_fleet_percent: f64,
}

/// The longest that staging may be given.
const LONGEST_STAGING_S: u32 = 3600;
/// The longest rest of a plugin.
const LONGEST_COOLDOWN_S: u32 = 7 * 24 * 3600;

impl Default for PolicyRow {
    fn default() -> Self {
        Self {
            autopatch_enabled: true,
            autopatch_whitelist: Value::Array(Vec::new()),
            autopatch_max_severity: "medium".to_owned(),
            require_multisig_for_major: true,
            require_multisig_for_high_impact: true,
            multisig_quorum_count: 2,
            require_staging_test: true,
            staging_timeout_seconds: 300,
            health_check_timeout_seconds: 90,
            health_check_interval_seconds: 3,
            auto_rollback_on_error_rate_threshold: 10.0,
            auto_rollback_on_heartbeat_missed_seconds: 120,
            sira_min_confidence: 0.75,
            sira_learning_enabled: true,
            canary_percentage: 0,
            canary_merchants: Value::Array(Vec::new()),
            autopatch_max_attempts_per_day: 3,
            autopatch_cooldown_seconds: 600,
            autopatch_max_fleet_percent: 5.0,
        }
    }
}

impl From<PolicyRow> for Policy {
    fn from(row: PolicyRow) -> Self {
        let seconds = |value: i32, most: u32| SignedDuration::from_secs(i64::from(positive(value).min(most)));
        Self {
            autopatch_enabled: row.autopatch_enabled,
            whitelist: match merchants(&row.autopatch_whitelist) {
                Some((_, 0)) => Whitelist::Everybody,
                Some((readable, _)) => Whitelist::Only(readable),
                None => Whitelist::Only(Vec::new()),
            },
            max_severity: Severity::from_str(&row.autopatch_max_severity).ok(),
            multisig_for_major: row.require_multisig_for_major,
            multisig_for_high_impact: row.require_multisig_for_high_impact,
            multisig_quorum: positive(row.multisig_quorum_count).max(1),
            require_staging: row.require_staging_test,
            staging_timeout: seconds(row.staging_timeout_seconds.max(1), LONGEST_STAGING_S),
            health: health(&row),
            // Not a number: nothing is sure enough.
            min_confidence: if row.sira_min_confidence.is_nan() {
                1.0
            } else {
                row.sira_min_confidence.clamp(0.0, 1.0)
            },
            learning_enabled: row.sira_learning_enabled,
            canary: canary(&row),
            max_attempts_per_day: positive(row.autopatch_max_attempts_per_day),
            cooldown: seconds(row.autopatch_cooldown_seconds, LONGEST_COOLDOWN_S),
            max_fleet_share: share(row.autopatch_max_fleet_percent),
        }
    }
}

fn health(row: &PolicyRow) -> HealthPolicy {
    let defaults = HealthPolicy::default();
    let or = |value: i32, absent: u32| u32::try_from(value).ok().filter(|n| *n > 0).unwrap_or(absent);
    HealthPolicy {
        health_check_timeout_seconds: or(row.health_check_timeout_seconds, defaults.health_check_timeout_seconds),
        health_check_interval_seconds: or(
            row.health_check_interval_seconds,
            defaults.health_check_interval_seconds,
        ),
        auto_rollback_on_error_rate_threshold: share(row.auto_rollback_on_error_rate_threshold),
        auto_rollback_on_heartbeat_missed_seconds: or(
            row.auto_rollback_on_heartbeat_missed_seconds,
            defaults.auto_rollback_on_heartbeat_missed_seconds,
        ),
        extended_watch_seconds: defaults.extended_watch_seconds,
    }
}

fn canary(row: &PolicyRow) -> Canary {
    let share = share(f64::from(row.canary_percentage));
    match merchants(&row.canary_merchants) {
        // Named, but nobody that can be read: a canary phase with nobody in it, rather than none at all.
        Some((merchants, named)) if named > 0 && merchants.is_empty() && share == 0.0 => Canary {
            share: f64::MIN_POSITIVE,
            merchants,
        },
        Some((merchants, _)) => Canary { share, merchants },
        None => Canary {
            share: share.max(f64::MIN_POSITIVE),
            merchants: Vec::new(),
        },
    }
}

/// A percent as a share: the one place where they are converted. Not a number: nothing.
fn share(percent: f64) -> f64 {
    if percent.is_nan() {
        0.0
    } else {
        (percent / 100.0).clamp(0.0, 1.0)
    }
}

fn positive(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// The merchants in a list and how many entries it has; none when it is no list.
fn merchants(list: &Value) -> Option<(Vec<MerchantId>, usize)> {
    let entries = list.as_array()?;
    let readable = entries
        .iter()
        .filter_map(|entry| entry.as_str()?.parse().ok())
        .collect();
    Some((readable, entries.len()))
}
