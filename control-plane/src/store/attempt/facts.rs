//! What judging and following an attempt takes: the plugin, the release, the order, the telemetry around the change.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::{AttemptId, CommandId, Digest, MerchantId, PluginId, Product};
use serde_json::Value;
use uuid::Uuid;

use super::super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::{
    attempt::CommandEnd,
    policy::{PluginFacts, ReleaseFacts},
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A plugin and the fleet around it.
#[derive(Debug, Clone)]
pub struct PluginSituation {
    /// What the policy judges by; approvals and capability are still to be filled in.
    pub facts: PluginFacts,
    /// What is installed.
    pub product: Option<Product>,
    /// Its version, as the plugin says.
    pub version: String,
    /// The digest of the installed release, as the agent says.
    pub installed: Option<Digest>,
    /// Whether an agent looks after it.
    pub agent_managed: bool,
    /// What it can do without one.
    pub capabilities: Vec<String>,
    /// When it was last heard.
    pub last_heard: Option<Timestamp>,
}

/// A plugin and the fleet around it, `attempt` and what is known of it not counted.
///
/// # Errors
/// When the database fails or there is no such plugin.
pub async fn plugin(
    tx: &mut Tx,
    id: PluginId,
    attempt: Option<AttemptId>,
    now: Timestamp,
) -> Result<PluginSituation, StoreError> {
    let attempt = attempt.map_or(Uuid::nil(), |attempt| attempt.0);
    let row = sqlx::query!(
        r#"SELECT plugin.merchant_id, plugin.plugin_version, plugin.status, plugin.agent_managed, plugin.capabilities,
             plugin.product, plugin.telemetry -> 'installed' ->> 'digest' AS installed,
             plugin.last_heartbeat AS "last_heartbeat: SqlTimestamp",
             merchant.autopatch_opt_out, merchant.maintenance_window,
             (SELECT count(*) FROM plugin_autopatch_attempts other
              WHERE other.merchant_plugin_id = plugin.id AND other.id <> $2 AND other.created_at > $3
                AND other.status <> 'cancelled') AS "attempts!",
             (SELECT max(greatest(other.status_since, other.rolled_back_at)) FROM plugin_autopatch_attempts other
              WHERE other.merchant_plugin_id = plugin.id AND other.id <> $2 AND other.created_at > $3
                AND other.status IN ('success', 'failed', 'rolled_back')) AS "last_ended: SqlTimestamp",
             (SELECT count(*) FROM plugin_autopatch_attempts other
              WHERE other.status = 'applying' AND other.origin IS NOT NULL AND other.id <> $2) AS "changing!",
             -- Exact for small fleets; for large ones, what the database remembers.
             (SELECT greatest((SELECT count(*) FROM (SELECT 1 FROM merchant_plugins LIMIT 2000) AS few),
                              (SELECT reltuples::bigint FROM pg_class WHERE oid = 'merchant_plugins'::regclass)))
               AS "fleet!"
           FROM merchant_plugins plugin JOIN merchants merchant ON merchant.id = plugin.merchant_id
           WHERE plugin.id = $1"#,
        id.0,
        attempt,
        now.checked_sub(DAY).unwrap_or(Timestamp::MIN).to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    let window = row.maintenance_window.map(serde_json::from_value).transpose();
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    Ok(PluginSituation {
        facts: PluginFacts {
            merchant_id: MerchantId(row.merchant_id),
            current_version: row.plugin_version.parse().ok(),
            is_served: matches!(row.status.as_str(), "active" | "error" | "pending_update"),
            is_capable: false,
            // A wish that can not be read is one all the same.
            opted_out: row.autopatch_opt_out || window.is_err(),
            maintenance_window: window.ok().flatten(),
            attempts_last_day: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            last_ended_at: row.last_ended.map(SqlTimestamp::to_jiff),
            fleet_changing: count(row.changing),
            fleet_size: count(row.fleet),
            approvals: Vec::new(),
        },
        product: row.product.and_then(|product| product.parse().ok()),
        version: row.plugin_version,
        installed: row.installed.and_then(|digest| digest.parse().ok()),
        agent_managed: row.agent_managed,
        capabilities: row.capabilities,
        last_heard: row.last_heartbeat.map(SqlTimestamp::to_jiff),
    })
}

/// How many plugins are changing now, `attempt` not counted.
///
/// # Errors
/// When the database fails.
pub async fn changing(tx: &mut Tx, attempt: AttemptId) -> Result<u64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM plugin_autopatch_attempts
           WHERE status = 'applying' AND origin IS NOT NULL AND id <> $1"#,
        attempt.0
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// What is known of a release, for one plugin; none when there is none.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn release(
    tx: &mut Tx,
    (product, version): (&Product, &semver::Version),
    plugin_id: PluginId,
) -> Result<Option<ReleaseFacts>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT release.digest, release.impact, release.approvals_required,
             (release.revoked_at IS NULL AND release.blocked_at IS NULL AND release.withdrawn_at IS NULL)
               AS "is_available!",
             EXISTS (SELECT 1 FROM release_quarantines here WHERE here.release_digest = release.digest
                       AND here.plugin_id = $3 AND here.lifted_at IS NULL) AS "here!",
             EXISTS (SELECT 1 FROM release_quarantines everywhere WHERE everywhere.release_digest = release.digest
                       AND everywhere.plugin_id IS NULL AND everywhere.lifted_at IS NULL) AS "everywhere!"
           FROM releases release WHERE release.product = $1 AND release.version = $2"#,
        product.as_str(),
        version.to_string(),
        plugin_id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let digest = row.digest.as_slice().try_into();
    Ok(Some(ReleaseFacts {
        digest: Digest(digest.map_err(|e| StoreError::corrupt("digest of a release", e))?),
        impact: serde_json::from_value(Value::String(row.impact))
            .map_err(|e| StoreError::corrupt("impact of a release", e))?,
        approvals_required: u32::try_from(row.approvals_required).unwrap_or(u32::MAX),
        is_available: row.is_available,
        quarantined_here: row.here,
        quarantined_everywhere: row.everywhere,
    }))
}

/// How the order of an attempt ended; none while it has not.
///
/// # Errors
/// When the database fails.
pub async fn order_end(tx: &mut Tx, id: CommandId) -> Result<Option<CommandEnd>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT status, response, error_message, sent_at IS NOT NULL AS "was_sent!"
           FROM plugin_agent_commands WHERE id = $1"#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        // Removed by hand: nobody knows what it did.
        return Ok(Some(CommandEnd::TimedOut {
            error: "the order is gone from the database".to_owned(),
            was_sent: true,
        }));
    };
    let error = row.error_message.unwrap_or_default();
    Ok(match row.status.as_str() {
        "completed" => Some(CommandEnd::Completed {
            result: row.response.unwrap_or(Value::Null),
        }),
        "failed" => Some(CommandEnd::Failed {
            error,
            result: row.response,
        }),
        "timeout" => Some(CommandEnd::TimedOut {
            error,
            was_sent: row.was_sent,
        }),
        _ => None,
    })
}

/// What one plugin counted on one side of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Webhook deliveries.
    pub webhooks: u64,
    /// Those among them that failed.
    pub webhooks_failed: u64,
}

/// The same on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// In the hour before.
    pub before: Counts,
    /// Since.
    pub after: Counts,
}

/// What a plugin's windows say about the time around `changed_at`; a window across it counts for neither side.
///
/// # Errors
/// When the database fails.
pub async fn error_rates(
    tx: &mut Tx,
    (merchant_id, plugin_id): (MerchantId, PluginId),
    changed_at: Timestamp,
) -> Result<Change, StoreError> {
    let hour = SignedDuration::from_hours(1);
    let rows = sqlx::query!(
        r#"SELECT window_from >= $3 AS "is_after!", coalesce(sum(requests), 0)::bigint AS "requests!",
             coalesce(sum(least(errors, requests)), 0)::bigint AS "errors!",
             coalesce(sum(webhook_total), 0)::bigint AS "webhooks!",
             coalesce(sum(least(webhook_failed, webhook_total)), 0)::bigint AS "webhooks_failed!"
           FROM plugin_telemetry
           WHERE merchant_id = $1 AND plugin_id = $2 AND window_from >= $4 AND window_from < $5
             AND (window_to <= $3 OR window_from >= $3)
           GROUP BY 1"#,
        merchant_id.0,
        plugin_id.0,
        changed_at.to_sqlx() as _,
        changed_at.checked_sub(hour).unwrap_or(Timestamp::MIN).to_sqlx() as _,
        changed_at.checked_add(hour).unwrap_or(Timestamp::MAX).to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let mut change = Change::default();
    for row in rows {
        let counts = Counts {
            requests: count(row.requests),
            errors: count(row.errors),
            webhooks: count(row.webhooks),
            webhooks_failed: count(row.webhooks_failed),
        };
        if row.is_after {
            change.after = counts;
        } else {
            change.before = counts;
        }
    }
    Ok(change)
}
