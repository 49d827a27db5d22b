//! The policy of ops (`ops_policy`): one row, which people also change by hand.

use plugmend_shared::protocol::command::HealthPolicy;

use super::{StoreError, Tx};

/// How a changed plugin is watched. The one place where the policy's percents become shares.
///
/// # Errors
/// When the database fails.
pub async fn health(tx: &mut Tx) -> Result<HealthPolicy, StoreError> {
    let row = sqlx::query!(
        r#"SELECT health_check_timeout_seconds, health_check_interval_seconds,
             auto_rollback_on_error_rate_threshold::float8 AS "threshold_percent!",
             auto_rollback_on_heartbeat_missed_seconds
           FROM ops_policy WHERE id = 1"#
    )
    .fetch_optional(&mut **tx)
    .await?;
    let defaults = HealthPolicy::default();
    let Some(row) = row else { return Ok(defaults) };
    let seconds = |value: i32, absent: u32| u32::try_from(value).ok().filter(|n| *n > 0).unwrap_or(absent);
    Ok(HealthPolicy {
        health_check_timeout_seconds: seconds(row.health_check_timeout_seconds, defaults.health_check_timeout_seconds),
        health_check_interval_seconds: seconds(
            row.health_check_interval_seconds,
            defaults.health_check_interval_seconds,
        ),
        auto_rollback_on_error_rate_threshold: (row.threshold_percent / 100.0).clamp(0.0, 1.0),
        auto_rollback_on_heartbeat_missed_seconds: seconds(
            row.auto_rollback_on_heartbeat_missed_seconds,
            defaults.auto_rollback_on_heartbeat_missed_seconds,
        ),
        extended_watch_seconds: defaults.extended_watch_seconds,
    })
}
