//! What came of decisions (`sira_learning_feedback`).

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::learning::{Forecast, Label, Outcome};

/// A row to be stored.
#[derive(Debug)]
pub struct NewFeedback {
    /// Of which incident.
    pub incident_id: Option<Uuid>,
    /// Of which attempt.
    pub attempt_id: Uuid,
    /// Which decision was followed, or set aside.
    pub decision_id: Option<Uuid>,
    /// What was asked.
    pub input: Value,
    /// What was decided.
    pub output: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// What else is known of it.
    pub details: Value,
    /// What it says of the cure.
    pub label: Label,
    /// In words.
    pub notes: String,
    /// By which model.
    pub model_version: Option<String>,
    /// Who decided what was then done; none where people chose something else.
    pub source: Option<String>,
    /// What was said of its chances.
    pub confidence: Option<f64>,
    /// How much has been learned, with this.
    pub epoch: i64,
}

/// Stores a row. What was said of the same attempt before does not count for its decider any more.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewFeedback, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sira_learning_feedback
         SET source = NULL, feedback_notes = concat_ws(' ', feedback_notes, 'It ended otherwise later.')
         WHERE autopatch_attempt_id = $1 AND source IS NOT NULL",
        new.attempt_id
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO sira_learning_feedback
           (incident_id, autopatch_attempt_id, decision_id, sira_input, sira_output, actual_outcome, outcome_details,
            feedback_label, feedback_notes, model_version, source, confidence, training_epoch, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        new.incident_id,
        new.attempt_id,
        new.decision_id,
        new.input,
        new.output,
        new.outcome.as_str(),
        new.details,
        new.label.as_str(),
        new.notes,
        new.model_version,
        new.source,
        new.confidence,
        i32::try_from(new.epoch).unwrap_or(i32::MAX),
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a decider said of cures whose end is known, and whether they worked; the latest `limit` of them since a moment.
///
/// # Errors
/// When the database fails.
pub async fn forecasts(tx: &mut Tx, source: &str, since: Timestamp, limit: usize) -> Result<Vec<Forecast>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT confidence AS "confidence!", feedback_label = 'positive' AS "worked!"
           FROM sira_learning_feedback
           WHERE source = $1 AND feedback_label IN ('positive', 'negative') AND confidence IS NOT NULL
             AND created_at >= $2
           ORDER BY created_at DESC LIMIT $3"#,
        source,
        since.to_sqlx() as _,
        i64::try_from(limit).unwrap_or(i64::MAX)
    )
    .fetch_all(&mut **tx)
    .await?;
    let forecast = rows.into_iter().map(|row| Forecast {
        confidence: row.confidence,
        worked: row.worked,
    });
    Ok(forecast.collect())
}

/// How often each decider chose each action since a moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Chosen {
    /// Who.
    pub source: String,
    /// Which action.
    pub action: String,
    /// How often.
    pub decisions: i64,
    /// When last.
    pub last_at: Timestamp,
}

/// How often each decider chose each action since a moment.
///
/// # Errors
/// When the database fails.
pub async fn chosen(tx: &mut Tx, since: Timestamp) -> Result<Vec<Chosen>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT source, coalesce(output ->> 'action', '') AS "action!", count(*) AS "decisions!",
             max(created_at) AS "last_at!: SqlTimestamp"
           FROM sira_decisions WHERE created_at >= $1 GROUP BY 1, 2 ORDER BY 1, 2"#,
        since.to_sqlx() as _
    )
    .fetch_all(&mut **tx)
    .await?;
    let chosen = rows.into_iter().map(|row| Chosen {
        source: row.source,
        action: row.action,
        decisions: row.decisions,
        last_at: row.last_at.to_jiff(),
    });
    Ok(chosen.collect())
}
