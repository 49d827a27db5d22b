//! The policy of ops (`ops_policy`): one row, which people also change by hand.

use plugmend_shared::protocol::command::HealthPolicy;
use sqlx::PgExecutor;

use super::{Db, StoreError, Tx};
use crate::domain::policy::{Policy, PolicyRow};

/// The one row, with or without a lock behind it.
macro_rules! policy_row {
    ($lock:tt) => {
        sqlx::query_as!(
            PolicyRow,
            r#"SELECT autopatch_enabled, autopatch_whitelist, autopatch_max_severity, require_multisig_for_major,
             require_multisig_for_high_impact, multisig_quorum_count, require_staging_test, staging_timeout_seconds,
             health_check_timeout_seconds, health_check_interval_seconds,
             auto_rollback_on_error_rate_threshold::float8 AS "auto_rollback_on_error_rate_threshold!",
             auto_rollback_on_heartbeat_missed_seconds, sira_min_confidence::float8 AS "sira_min_confidence!",
             sira_learning_enabled, canary_percentage, canary_merchants, autopatch_max_attempts_per_day,
             autopatch_cooldown_seconds, autopatch_max_fleet_percent::float8 AS "autopatch_max_fleet_percent!"
           FROM ops_policy WHERE id = 1"#
                + $lock
        )
    };
}

/// The policy as it is now. It is read anew for each decision: nothing of it is kept in memory, so that a change counts
/// at once on every replica. Without a row, nothing is done by itself.
///
/// # Errors
/// When the database fails.
pub async fn load(db: &Db) -> Result<Policy, StoreError> {
    look(db.pool()).await
}

/// The same, seen by a transaction: whoever has a connection need not wait for another.
///
/// # Errors
/// When the database fails.
pub async fn load_in(tx: &mut Tx) -> Result<Policy, StoreError> {
    look(&mut **tx).await
}

/// The policy as it is now and stays until the transaction ends: whoever throws the kill switch waits for it, and then
/// finds the order that was given under it.
///
/// # Errors
/// When the database fails.
pub async fn hold(tx: &mut Tx) -> Result<Policy, StoreError> {
    Ok(read(policy_row!(" FOR SHARE").fetch_optional(&mut **tx).await?))
}

/// How a changed plugin is watched.
///
/// # Errors
/// When the database fails.
pub async fn health(tx: &mut Tx) -> Result<HealthPolicy, StoreError> {
    Ok(load_in(tx).await?.health)
}

async fn look(executor: impl PgExecutor<'_>) -> Result<Policy, StoreError> {
    Ok(read(policy_row!("").fetch_optional(executor).await?))
}

fn read(row: Option<PolicyRow>) -> Policy {
    row.unwrap_or_else(|| PolicyRow {
        autopatch_enabled: false,
        ..PolicyRow::default()
    })
    .into()
}
