//! What there is to learn from (`sira_lessons_due`): ends of attempts, noted by whoever ended them.

use plugmend_shared::{
    decide::{Decision, Question},
    ids::{MerchantId, PluginId},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{StoreError, Tx};

/// The end of an attempt that nobody has learned from yet.
#[derive(Debug, Clone)]
pub struct Due {
    /// Which attempt.
    pub attempt_id: Uuid,
    /// What it became.
    pub status: String,
    /// What it was.
    pub was: String,
}

/// An attempt, as a lesson needs it.
#[derive(Debug, Clone)]
pub struct AttemptFacts {
    /// Of which incident.
    pub incident_id: Option<Uuid>,
    /// What was wrong.
    pub incident_type: Option<String>,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// What is installed there.
    pub product: Option<String>,
    /// `patch`, ...
    pub method: String,
    /// From which version.
    pub from_version: String,
    /// To which version.
    pub to_version: Option<String>,
    /// With which settings.
    pub config: Option<Map<String, Value>>,
    /// Whether the plugin was touched.
    pub applied: bool,
    /// Whether its staging run passed.
    pub staging_passed: Option<bool>,
    /// What the trial found.
    pub healthy: Option<bool>,
    /// `sira`, or who did it.
    pub executed_by: String,
}

/// The decision that an attempt followed, or that people set aside.
#[derive(Debug, Clone)]
pub struct Before {
    /// Its id.
    pub id: Uuid,
    /// What was asked.
    pub question: Question,
    /// What was decided.
    pub decision: Decision,
    /// By whom.
    pub source: String,
    /// By which model.
    pub model_version: String,
}

/// Takes at most `limit` of them, oldest first. They are gone when the transaction ends well, and there again when it
/// does not.
///
/// # Errors
/// When the database fails.
pub async fn take(tx: &mut Tx, limit: u16) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        "WITH taken AS (
           DELETE FROM sira_lessons_due
           WHERE id IN (SELECT id FROM sira_lessons_due ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING id, attempt_id, status, was)
         SELECT attempt_id, status, was FROM taken ORDER BY id",
        i64::from(limit)
    )
    .fetch_all(&mut **tx)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        attempt_id: row.attempt_id,
        status: row.status,
        was: row.was,
    });
    Ok(due.collect())
}

/// What an attempt was; `None` when it is gone.
///
/// # Errors
/// When the database fails.
pub async fn attempt(tx: &mut Tx, id: Uuid) -> Result<Option<AttemptFacts>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT attempt.incident_id, attempt.method, attempt.from_version, attempt.to_version, attempt.config,
             (attempt.production_result IS NOT NULL OR attempt.status IN ('success', 'rolled_back')
              OR coalesce(attempt.end_reason, '') IN ('unhealthy', 'worse', 'not_in_force', 'unknown', 'not_heard')) AS "applied!", attempt.staging_result -> 'passed' AS staging_passed,
             attempt.production_result -> 'health_check_passed' AS healthy, attempt.executed_by,
             incident.incident_type AS "incident_type?", plugin.id, plugin.merchant_id, plugin.product
           FROM plugin_autopatch_attempts attempt
           JOIN merchant_plugins plugin ON plugin.id = attempt.merchant_plugin_id
           LEFT JOIN plugin_incidents incident ON incident.id = attempt.incident_id
           WHERE attempt.id = $1"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    let yes_or_no = |value: Option<Value>| value.as_ref().and_then(Value::as_bool);
    Ok(row.map(|row| AttemptFacts {
        incident_id: row.incident_id,
        incident_type: row.incident_type,
        merchant_id: row.merchant_id.into(),
        plugin_id: row.id.into(),
        product: row.product,
        method: row.method,
        from_version: row.from_version,
        to_version: row.to_version,
        config: match row.config {
            Some(Value::Object(config)) => Some(config),
            _ => None,
        },
        applied: row.applied,
        staging_passed: yes_or_no(row.staging_passed),
        healthy: yes_or_no(row.healthy),
        executed_by: row.executed_by,
    }))
}

/// The last decision about an attempt's incident before the attempt began. One that can not be read any more is none.
///
/// # Errors
/// When the database fails.
pub async fn decision_before(tx: &mut Tx, attempt_id: Uuid) -> Result<Option<Before>, StoreError> {
    let row = sqlx::query!(
        "SELECT decision.id, decision.input, decision.output, decision.source, decision.model_version
         FROM plugin_autopatch_attempts attempt
         JOIN sira_decisions decision
           ON decision.incident_id = attempt.incident_id AND decision.created_at <= attempt.created_at
         WHERE attempt.id = $1 ORDER BY decision.created_at DESC LIMIT 1",
        attempt_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.and_then(|row| {
        Some(Before {
            id: row.id,
            question: serde_json::from_value(row.input).ok()?,
            decision: serde_json::from_value(row.output).ok()?,
            source: row.source,
            model_version: row.model_version,
        })
    }))
}
