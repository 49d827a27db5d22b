//! Attempts (`plugin_autopatch_attempts`).

mod claim;
mod facts;
mod row;
mod view;

use jiff::Timestamp;
use plugmend_shared::ids::{AttemptId, CommandId, PluginId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{StoreError, ToSqlx as _, Tx};
use crate::domain::{
    approval::{Approval, Quorum},
    attempt::{Attempt, Status},
};

pub use claim::{Lease, claim};
pub use facts::{Change as Rates, Counts, PluginSituation, changing, error_rates, order_end, plugin, release};
pub use view::AttemptView;

/// Stores a new attempt, which waits until `next_look_at`; false when the plugin has one on its way.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut Tx,
    attempt: &Attempt,
    executed_by: &str,
    (approval_needed, next_look_at): (Option<&Value>, Timestamp),
    words: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let approvals = serde_json::to_value(&attempt.approvals).map_err(|e| StoreError::corrupt("approvals", e))?;
    let config = attempt.config.clone().map(Value::Object);
    let done = sqlx::query!(
        "INSERT INTO plugin_autopatch_attempts
           (id, incident_id, merchant_plugin_id, from_version, to_version, method, status, logs, executed_by,
            approved_by, requires_approval, origin, product, release_digest, config, confidence, impact,
            approval_needed, status_since, deadline_at, next_look_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                 $18, $18)
         ON CONFLICT (merchant_plugin_id)
           WHERE status IN ('pending', 'staging', 'applying') AND origin IS NOT NULL DO NOTHING",
        attempt.id.0,
        attempt.incident_id,
        attempt.plugin_id.0,
        attempt.from_version,
        attempt.to_version.as_ref().map(ToString::to_string),
        attempt.method.as_str(),
        line("info", words, now),
        executed_by,
        approvals,
        attempt.requires_approval,
        attempt.origin.as_str(),
        attempt.product.as_ref().map(plugmend_shared::ids::Product::as_str),
        attempt.release_digest.map(|digest| digest.0.to_vec()),
        config,
        attempt.confidence,
        attempt
            .impact
            .and_then(|impact| serde_json::to_value(impact).ok()?.as_str().map(str::to_owned)),
        approval_needed,
        now.to_sqlx() as _,
        attempt.deadline_at.to_sqlx() as _,
        next_look_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a transition writes beside the status.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// One line for its log.
    pub words: String,
    /// When people are called, where it is still on its way.
    pub deadline_at: Option<Timestamp>,
    /// When it is to be looked at next.
    pub next_look_at: Option<Timestamp>,
    /// What the sandbox said.
    pub staging_result: Option<Value>,
    /// The order that was given.
    pub command_id: Option<CommandId>,
    /// What came of it on the host.
    pub production_result: Option<Value>,
    /// Why it ended, in a word.
    pub end_reason: Option<&'static str>,
    /// Why it was taken back, in words for people.
    pub rollback_reason: Option<String>,
}

/// Moves an attempt, provided it still stands where it was read, and frees its lease.
///
/// # Errors
/// [`StoreError::Stale`] when it does not: it was cancelled, or somebody else moved it.
pub async fn transition(
    tx: &mut Tx,
    (id, from, to): (AttemptId, Status, Status),
    step: &Step,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE plugin_autopatch_attempts
         SET status = $3, status_since = $4, updated_at = $4, lease_until = NULL, lease_by = NULL, logs = logs || $5,
             deadline_at = $6, next_look_at = $7, staging_result = coalesce($8, staging_result),
             command_id = coalesce($9, command_id), production_result = coalesce($10, production_result),
             end_reason = coalesce($11, end_reason), rollback_reason = coalesce($12, rollback_reason),
             executed_at = CASE WHEN $3 = 'applying' THEN $4 ELSE executed_at END,
             rolled_back_at = CASE WHEN $3 = 'rolled_back' THEN $4 ELSE rolled_back_at END
         WHERE id = $1 AND status = $2",
        id.0,
        from.as_str(),
        to.as_str(),
        now.to_sqlx() as _,
        line(
            if to == Status::Failed || to == Status::RolledBack {
                "error"
            } else {
                "info"
            },
            &step.words,
            now
        ),
        step.deadline_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        step.next_look_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        step.staging_result,
        step.command_id.map(|id| id.0),
        step.production_result,
        step.end_reason,
        step.rollback_reason,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the attempt" })
    }
}

/// Leaves an attempt that is held where it is, looked at again at `at`; frees its lease. A word, if there is one to say,
/// goes to its log; a later deadline, if there is one, replaces the old.
///
/// # Errors
/// When the database fails.
pub async fn look_again(
    tx: &mut Tx,
    id: AttemptId,
    at: Timestamp,
    (words, deadline): (Option<&str>, Option<Timestamp>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let lines = words.map_or_else(|| json!([]), |words| line("info", words, now));
    sqlx::query!(
        "UPDATE plugin_autopatch_attempts
         SET next_look_at = $2, lease_until = NULL, lease_by = NULL, logs = logs || $3, updated_at = $5,
             deadline_at = coalesce($4, deadline_at)
         WHERE id = $1",
        id.0,
        at.to_sqlx() as _,
        lines,
        deadline.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps that the sandbox could not be had, once more.
///
/// # Errors
/// When the database fails.
pub async fn count_staging_try(tx: &mut Tx, id: AttemptId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_autopatch_attempts SET staging_tries = staging_tries + 1 WHERE id = $1",
        id.0
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps when the order of an attempt was found ended, the first time.
///
/// # Errors
/// When the database fails.
pub async fn order_ended(tx: &mut Tx, id: AttemptId, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_autopatch_attempts SET order_ended_at = coalesce(order_ended_at, $2) WHERE id = $1",
        id.0,
        at.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps that people are wanted, and which.
///
/// # Errors
/// When the database fails.
pub async fn need_approval(tx: &mut Tx, id: AttemptId, needed: &Value) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_autopatch_attempts SET requires_approval = true, approval_needed = $2 WHERE id = $1",
        id.0,
        needed
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds an approval to an attempt that is held, and has it looked at.
///
/// # Errors
/// When the database fails.
pub async fn approve(tx: &mut Tx, id: AttemptId, approval: &Approval, now: Timestamp) -> Result<(), StoreError> {
    let approval = serde_json::to_value(approval).map_err(|e| StoreError::corrupt("approval", e))?;
    sqlx::query!(
        "UPDATE plugin_autopatch_attempts
         SET approved_by = approved_by || jsonb_build_array($2::jsonb), next_look_at = $3, updated_at = $3,
             logs = logs || $4
         WHERE id = $1",
        id.0,
        approval,
        now.to_sqlx() as _,
        line(
            "info",
            &format!("approved by {}", approval["user_id"].as_str().unwrap_or("?")),
            now
        ),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("SELECT pg_notify('plugmend_healing', '')")
        .fetch_one(&mut **tx)
        .await?;
    Ok(())
}

/// The attempt that is on its way for an incident, held until the transaction ends.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock_live_of(tx: &mut Tx, incident_id: Uuid) -> Result<Option<Attempt>, StoreError> {
    row::fetch(tx, row::Which::LiveOf(incident_id)).await
}

/// One attempt, held until the transaction ends.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock(tx: &mut Tx, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
    row::fetch(tx, row::Which::Id(id)).await
}

/// How the last attempt of an incident stands, if there was one: `(status, end_reason)`.
///
/// # Errors
/// When the database fails.
pub async fn last_of(tx: &mut Tx, incident_id: Uuid) -> Result<Option<(String, Option<String>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT status, end_reason FROM plugin_autopatch_attempts WHERE incident_id = $1
         ORDER BY created_at DESC, id DESC LIMIT 1",
        incident_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.status, row.end_reason)))
}

/// How the last order to take the newest cure of an incident back stands, if there was one.
///
/// # Errors
/// When the database fails.
pub async fn way_back_of(tx: &mut Tx, incident_id: Uuid) -> Result<Option<String>, StoreError> {
    let status = sqlx::query_scalar!(
        "SELECT command.status FROM plugin_agent_commands command
         WHERE command.created_by = 'take-back' AND command.attempt_id =
           (SELECT id FROM plugin_autopatch_attempts WHERE incident_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1)
         ORDER BY command.created_at DESC LIMIT 1",
        incident_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(status)
}

/// Whether a plugin has an attempt on its way.
///
/// # Errors
/// When the database fails.
pub async fn is_any_live(tx: &mut Tx, plugin_id: PluginId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM plugin_autopatch_attempts
             WHERE merchant_plugin_id = $1 AND status IN ('pending', 'staging', 'applying')
               AND origin IS NOT NULL) AS "found!""#,
        plugin_id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found)
}

/// Waits for its turn to give an order: the fleet's share is counted by one at a time. Taken last, and held for a moment
/// only: nobody else can give an order meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn lock_turn(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(7583, 2)")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// One line of a log, in a list.
fn line(level: &str, message: &str, now: Timestamp) -> Value {
    if message.is_empty() {
        return json!([]);
    }
    json!([{ "timestamp": now, "level": level, "message": message }])
}

/// Keeps what the sandbox said of an attempt that goes on.
///
/// # Errors
/// When the database fails.
pub async fn keep_staging(tx: &mut Tx, id: AttemptId, result: &Value, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plugin_autopatch_attempts SET staging_result = $2, updated_at = $3, logs = logs || $4 WHERE id = $1",
        id.0,
        result,
        now.to_sqlx() as _,
        line("info", "the sandbox let the release pass", now),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who wanted an attempt: a person, or `sira`.
///
/// # Errors
/// When the database fails.
pub async fn wanted_by(tx: &mut Tx, id: AttemptId) -> Result<String, StoreError> {
    let who = sqlx::query_scalar!("SELECT executed_by FROM plugin_autopatch_attempts WHERE id = $1", id.0)
        .fetch_one(&mut **tx)
        .await?;
    Ok(who)
}

/// Who must say yes to an attempt; any one person when that can not be read.
///
/// # Errors
/// When the database fails.
pub async fn quorum_of(tx: &mut Tx, id: AttemptId) -> Result<Quorum, StoreError> {
    let needed = sqlx::query_scalar!(
        "SELECT approval_needed FROM plugin_autopatch_attempts WHERE id = $1",
        id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    let quorum = needed.and_then(|needed| serde_json::from_value(needed).ok());
    Ok(quorum.unwrap_or_else(Quorum::anyone))
}
