//! The policy of ops (`ops_policy`): one row, which people also change by hand.

mod history;

use jiff::Timestamp;
use plugmend_shared::{detect::Thresholds, protocol::command::HealthPolicy};
use serde_json::json;
use sqlx::PgExecutor;

use super::{Db, SqlTimestamp, StoreError, Tx};
use crate::domain::policy::{Policy, PolicyRow};

pub use history::{PolicyRecord, history};

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

/// From where on an incident is how bad.
///
/// # Errors
/// When the database fails.
pub async fn severities(tx: &mut Tx) -> Result<Thresholds, StoreError> {
    let row = sqlx::query_as!(
        Thresholds,
        r#"SELECT share_medium AS "share_medium!", share_high AS "share_high!", share_critical AS "share_critical!",
             errors_medium::float8 AS "errors_medium!", errors_high::float8 AS "errors_high!",
             errors_critical::float8 AS "errors_critical!", payments_medium::float8 AS "payments_medium!",
             payments_high::float8 AS "payments_high!", payments_critical::float8 AS "payments_critical!",
             silence_high_seconds::float8 AS "silence_high_seconds!"
           FROM plugmend_severities"#
    );
    Ok(row.fetch_one(&mut **tx).await?)
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

/// The policy with what people need to change it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Grows with each change.
    pub version: i64,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: Option<String>,
    /// What it says.
    pub row: PolicyRow,
}

/// The policy as people see it; none when somebody deleted it.
///
/// # Errors
/// When the database fails.
pub async fn view(db: &Db) -> Result<Option<Stored>, StoreError> {
    let mut tx = db.begin().await?;
    stored(&mut tx).await
}

/// The same, held for a change until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx) -> Result<Option<Stored>, StoreError> {
    sqlx::query!("SELECT id FROM ops_policy WHERE id = 1 FOR NO KEY UPDATE")
        .fetch_optional(&mut **tx)
        .await?;
    stored(tx).await
}

/// The version is read first: should somebody change the policy in between, it is one that counts no more.
async fn stored(tx: &mut Tx) -> Result<Option<Stored>, StoreError> {
    let about = sqlx::query!(
        r#"SELECT version, updated_at AS "updated_at: SqlTimestamp", updated_by FROM ops_policy WHERE id = 1"#
    )
    .fetch_optional(&mut **tx)
    .await?;
    let row = policy_row!("").fetch_optional(&mut **tx).await?;
    Ok(about.zip(row).map(|(about, row)| Stored {
        version: about.version,
        updated_at: about.updated_at.to_jiff(),
        updated_by: about.updated_by,
        row,
    }))
}

/// Writes the policy that is held. The trigger that follows it keeps the history and the audit entry in this transaction,
/// with who and why.
///
/// # Errors
/// When the database fails, or the row is gone.
pub async fn write(tx: &mut Tx, row: &PolicyRow, who: &str, why: &str) -> Result<(), StoreError> {
    sign(tx, who, why).await?;
    let done = sqlx::query!(
        "UPDATE ops_policy SET
           (autopatch_enabled, autopatch_whitelist, autopatch_max_severity, require_multisig_for_major,
            require_multisig_for_high_impact, multisig_quorum_count, require_staging_test, staging_timeout_seconds,
            health_check_timeout_seconds, health_check_interval_seconds, auto_rollback_on_error_rate_threshold,
            auto_rollback_on_heartbeat_missed_seconds, sira_min_confidence, sira_learning_enabled, canary_percentage,
            canary_merchants, autopatch_max_attempts_per_day, autopatch_cooldown_seconds, autopatch_max_fleet_percent) =
         (SELECT autopatch_enabled, autopatch_whitelist, autopatch_max_severity, require_multisig_for_major,
            require_multisig_for_high_impact, multisig_quorum_count, require_staging_test, staging_timeout_seconds,
            health_check_timeout_seconds, health_check_interval_seconds, auto_rollback_on_error_rate_threshold,
            auto_rollback_on_heartbeat_missed_seconds, sira_min_confidence, sira_learning_enabled, canary_percentage,
            canary_merchants, autopatch_max_attempts_per_day, autopatch_cooldown_seconds, autopatch_max_fleet_percent
          FROM jsonb_populate_record(NULL::ops_policy, $1))
         WHERE id = 1",
        json!(row)
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the policy" })
    }
}

/// Throws or lifts the kill switch, whatever else the policy says; whether it was otherwise before.
///
/// # Errors
/// When the database fails.
pub async fn set_enabled(tx: &mut Tx, enabled: bool, who: &str, why: &str) -> Result<bool, StoreError> {
    sign(tx, who, why).await?;
    let done = sqlx::query!(
        "UPDATE ops_policy SET autopatch_enabled = $1 WHERE id = 1 AND autopatch_enabled <> $1",
        enabled
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says who changes the policy and why, for the trigger that follows it; forgotten when the transaction ends.
async fn sign(tx: &mut Tx, who: &str, why: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT set_config('plugmend.actor', $1, true) AS actor, set_config('plugmend.reason', $2, true) AS reason",
        who,
        why
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(())
}

/// Whether automatic changes may be made at all, when the policy changed last, and by whom where that is known. Without a
/// policy they may not.
///
/// # Errors
/// When the database fails.
pub async fn switch(db: &Db) -> Result<(bool, Timestamp, Option<String>), StoreError> {
    let row = sqlx::query!(
        r#"SELECT autopatch_enabled, updated_at AS "updated_at: SqlTimestamp", updated_by
           FROM ops_policy WHERE id = 1"#
    )
    .fetch_optional(db.reading_pool())
    .await?;
    let nobody = (false, Timestamp::UNIX_EPOCH, None);
    Ok(row.map_or(nobody, |row| {
        (row.autopatch_enabled, row.updated_at.to_jiff(), row.updated_by)
    }))
}
