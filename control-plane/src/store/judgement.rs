//! What the policy said about cures, and on what grounds (`policy_judgements`).

use jiff::Timestamp;
use plugmend_shared::ids::{AttemptId, MerchantId, PluginId};
use serde_json::json;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::{
    incident::Incident,
    policy::{Grounds, Outcome, ShownReason, Verdict},
};

/// A judgement that was kept, with its incident as it is now.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Its place among the others.
    pub id: i64,
    /// When it was made.
    pub judged_at: Timestamp,
    /// About which incident.
    pub incident_id: Uuid,
    /// What kind of incident.
    pub incident_type: String,
    /// The attempt that was begun, if one was.
    pub attempt_id: Option<AttemptId>,
    /// How that stands.
    pub attempt_status: Option<String>,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// Under which version of the policy.
    pub policy_version: i64,
    /// What it came to.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<ShownReason>,
    /// What it rests on; none when that can not be read any more.
    pub grounds: Option<Grounds>,
}

/// Keeps what the policy, which is held, said about a cure.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut Tx,
    (incident, merchant): (&Incident, MerchantId),
    attempt: Option<AttemptId>,
    (verdict, grounds): (&Verdict, &Grounds),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO policy_judgements
           (judged_at, incident_id, attempt_id, merchant_id, merchant_plugin_id, outcome, reasons, grounds, policy_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce((SELECT version FROM ops_policy WHERE id = 1), 0))",
        now.to_sqlx() as _,
        incident.id,
        attempt.map(|id| id.0),
        merchant.0,
        incident.plugin_id.0,
        verdict.outcome().as_str(),
        json!(verdict.reasons()),
        json!(grounds),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Judgements made since `since` and before the one at `before`, newest first.
///
/// # Errors
/// When the database fails or a row can not be read.
pub async fn page(
    db: &Db,
    since: Timestamp,
    before: (Timestamp, i64),
    limit: i64,
) -> Result<Vec<Judgement>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT judgement.id, judgement.judged_at AS "judged_at: SqlTimestamp", judgement.incident_id,
             incident.incident_type, judgement.attempt_id, attempt.status AS "attempt_status?", judgement.merchant_id,
             judgement.merchant_plugin_id, judgement.policy_version, judgement.outcome, judgement.reasons,
             judgement.grounds
           FROM policy_judgements judgement
           JOIN plugin_incidents incident ON incident.id = judgement.incident_id
           LEFT JOIN plugin_autopatch_attempts attempt ON attempt.id = judgement.attempt_id
           WHERE judgement.judged_at >= $1 AND (judgement.judged_at, judgement.id) < ($2, $3)
           ORDER BY judgement.judged_at DESC, judgement.id DESC LIMIT $4"#,
        since.to_sqlx() as _,
        before.0.to_sqlx() as _,
        before.1,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    let judgement = rows.into_iter().map(|row| {
        let outcome = Outcome::from_name(&row.outcome);
        Ok(Judgement {
            id: row.id,
            judged_at: row.judged_at.to_jiff(),
            incident_id: row.incident_id,
            incident_type: row.incident_type,
            attempt_id: row.attempt_id.map(AttemptId),
            attempt_status: row.attempt_status,
            merchant_id: row.merchant_id.into(),
            plugin_id: row.merchant_plugin_id.into(),
            policy_version: row.policy_version,
            outcome: outcome.ok_or_else(|| StoreError::corrupt("judgement", "unknown outcome"))?,
            reasons: serde_json::from_value(row.reasons).map_err(|e| StoreError::corrupt("judgement", e))?,
            grounds: serde_json::from_value(row.grounds).ok(),
        })
    });
    judgement.collect()
}

/// How many incidents that were found since `since` nothing was judged about, counted up to `most`.
///
/// # Errors
/// When the database fails.
pub async fn count_unjudged(db: &Db, since: Timestamp, most: i64) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
             SELECT 1 FROM plugin_incidents incident
             WHERE incident.detected_at >= $1 AND NOT EXISTS (
               SELECT 1 FROM policy_judgements judgement WHERE judgement.incident_id = incident.id)
             LIMIT $2) AS few"#,
        since.to_sqlx() as _,
        most
    )
    .fetch_one(db.pool())
    .await?;
    Ok(count)
}

/// Forgets at most `at_most` judgements made before `before`; how many it forgot.
///
/// # Errors
/// When the database fails.
pub async fn forget(db: &Db, before: Timestamp, at_most: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM policy_judgements WHERE id IN
           (SELECT id FROM policy_judgements WHERE judged_at < $1 ORDER BY judged_at LIMIT $2)",
        before.to_sqlx() as _,
        at_most
    )
    .execute(db.pool())
    .await?;
    Ok(done.rows_affected())
}
