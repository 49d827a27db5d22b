//! Decisions (`sira_decisions`).

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::decision::{Decided, Question};

/// A decision to be stored.
#[derive(Debug)]
pub struct NewDecision<'a> {
    /// Its id.
    pub id: Uuid,
    /// About which incident.
    pub incident_id: Uuid,
    /// What was asked.
    pub question: &'a Question,
    /// What was decided, and by whom.
    pub decided: &'a Decided,
}

/// A stored decision.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DecisionRow {
    /// Its id.
    pub id: Uuid,
    /// About which incident.
    pub incident_id: Option<Uuid>,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// `external`, `built_in` or `heuristics`.
    pub source: String,
    /// By which model.
    pub model_version: String,
    /// How much had been learned then.
    pub training_epoch: i64,
    /// Why those who were asked before gave no answer.
    pub passed_over: Vec<String>,
    /// When.
    pub created_at: Timestamp,
    /// What was decided.
    pub output: Value,
    /// What was asked; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// Stores a decision, and shows it at its incident.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewDecision<'_>, now: Timestamp) -> Result<(), StoreError> {
    let input = serde_json::to_value(new.question).map_err(|e| StoreError::corrupt("question", e))?;
    let output = serde_json::to_value(&new.decided.decision).map_err(|e| StoreError::corrupt("decision", e))?;
    let epoch = i64::try_from(new.question.historical_data.experience.epoch).unwrap_or(i64::MAX);
    sqlx::query!(
        "INSERT INTO sira_decisions
           (id, incident_id, merchant_id, merchant_plugin_id, input, output, source, model_version, training_epoch,
            passed_over, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        new.id,
        new.incident_id,
        new.question.merchant_id.0,
        new.question.plugin_id.0,
        input,
        output,
        new.decided.source.as_str(),
        new.decided.model_version,
        epoch,
        &new.decided.passed_over,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE plugin_incidents SET sira_decision = $2, updated_at = $3 WHERE id = $1",
        new.incident_id,
        output,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Which part of the list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// About one merchant's plugins only.
    pub merchant_id: Option<MerchantId>,
    /// About one incident only.
    pub incident_id: Option<Uuid>,
    /// About one plugin only.
    pub plugin_id: Option<PluginId>,
    /// By one source only.
    pub source: Option<String>,
    /// Older than this one.
    pub after: Option<Uuid>,
    /// With what was asked.
    pub with_input: bool,
}

/// Decisions, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, filter: &Filter, limit: u16) -> Result<Vec<DecisionRow>, StoreError> {
    // Ids are ordered by time (UUID version 7).
    let rows = sqlx::query!(
        r#"SELECT id, incident_id, merchant_id, merchant_plugin_id, source, model_version, training_epoch, passed_over,
             created_at AS "created_at: SqlTimestamp", output, CASE WHEN $5 THEN input END AS "input?"
           FROM sira_decisions
           WHERE ($1::uuid IS NULL OR incident_id = $1) AND ($2::uuid IS NULL OR merchant_plugin_id = $2)
             AND ($3::text IS NULL OR source = $3) AND ($4::uuid IS NULL OR id < $4)
             AND ($7::uuid IS NULL OR merchant_id = $7)
           ORDER BY id DESC LIMIT $6"#,
        filter.incident_id,
        filter.plugin_id.map(|id| id.0),
        filter.source,
        filter.after,
        filter.with_input,
        i64::from(limit),
        filter.merchant_id.map(|id| id.0)
    )
    .fetch_all(db.pool())
    .await?;
    let decision = rows.into_iter().map(|row| DecisionRow {
        id: row.id,
        incident_id: row.incident_id,
        merchant_id: row.merchant_id.into(),
        plugin_id: row.merchant_plugin_id.into(),
        source: row.source,
        model_version: row.model_version,
        training_epoch: row.training_epoch,
        passed_over: row.passed_over,
        created_at: row.created_at.to_jiff(),
        output: row.output,
        input: row.input,
    });
    Ok(decision.collect())
}

/// One decision, with what was asked.
///
/// # Errors
/// When the database fails.
pub async fn view(db: &Db, id: Uuid) -> Result<Option<DecisionRow>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, incident_id, merchant_id, merchant_plugin_id, source, model_version, training_epoch, passed_over,
             created_at AS "created_at: SqlTimestamp", output, input
           FROM sira_decisions WHERE id = $1"#,
        id
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| DecisionRow {
        id: row.id,
        incident_id: row.incident_id,
        merchant_id: row.merchant_id.into(),
        plugin_id: row.merchant_plugin_id.into(),
        source: row.source,
        model_version: row.model_version,
        training_epoch: row.training_epoch,
        passed_over: row.passed_over,
        created_at: row.created_at.to_jiff(),
        output: row.output,
        input: Some(row.input),
    }))
}
