//! Everything that is known about the course of one incident, from where it stands.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _};

/// Rows of one kind that are read at most.
const MOST: i64 = 300;
/// Windows of telemetry that are read at most.
const MOST_WINDOWS: i64 = 100_000;
/// Points of the series at most.
const MOST_POINTS: i64 = 510;

/// What the course hangs on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_incidents, as they are")]
pub struct Spine {
    pub id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub merchant_id: Uuid,
    pub incident_type: String,
    pub severity: String,
    pub status: String,
    pub confidence: Option<f64>,
    pub plugin_version: Option<String>,
    pub began_at: Option<SqlTimestamp>,
    pub detected_at: SqlTimestamp,
    pub status_since: Option<SqlTimestamp>,
    pub updated_at: SqlTimestamp,
}

/// The incident itself.
///
/// # Errors
/// When the database fails.
pub async fn spine(db: &Db, id: Uuid) -> Result<Option<Spine>, StoreError> {
    let spine = sqlx::query_as!(
        Spine,
        r#"SELECT incident.id, incident.merchant_plugin_id, plugin.merchant_id, incident.incident_type, incident.severity,
             incident.status, incident.confidence, incident.plugin_version,
             incident.began_at AS "began_at: SqlTimestamp", incident.detected_at AS "detected_at: SqlTimestamp",
             incident.status_since AS "status_since: SqlTimestamp", incident.updated_at AS "updated_at: SqlTimestamp"
           FROM plugin_incidents incident JOIN merchant_plugins plugin ON plugin.id = incident.merchant_plugin_id
           WHERE incident.id = $1"#,
        id
    )
    .fetch_optional(db.reading_pool())
    .await?;
    Ok(spine)
}

/// An entry of the trail about the incident or one of its attempts.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_audit, as they are")]
pub struct Noted {
    pub at: SqlTimestamp,
    pub actor_type: String,
    pub actor_id: Option<String>,
    pub action: String,
    pub details: Value,
}

/// What was noted about an incident and its attempts between two moments, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn noted(db: &Db, spine: &Spine, from: Timestamp, to: Timestamp) -> Result<Vec<Noted>, StoreError> {
    let noted = sqlx::query_as!(
        Noted,
        r#"SELECT created_at AS "at: SqlTimestamp", actor_type, actor_id, action, details
           FROM plugin_audit
           WHERE merchant_plugin_id = $1 AND created_at >= $2 AND created_at <= $3
             AND (details ->> 'incident_id' = $4 OR details ->> 'attempt_id' IN (
                    SELECT id::text FROM plugin_autopatch_attempts WHERE incident_id = $5))
           ORDER BY created_at, entry_id LIMIT $6"#,
        spine.merchant_plugin_id,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        spine.id.to_string(),
        spine.id,
        MOST
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(noted)
}

/// A decision about the incident.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of sira_decisions, as they are")]
pub struct DecidedRow {
    pub id: Uuid,
    pub at: SqlTimestamp,
    pub source: String,
    pub model_version: String,
    pub output: Value,
}

/// The decisions about an incident, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn decisions(db: &Db, incident: Uuid) -> Result<Vec<DecidedRow>, StoreError> {
    let decisions = sqlx::query_as!(
        DecidedRow,
        r#"SELECT id, created_at AS "at: SqlTimestamp", source, model_version, output
           FROM sira_decisions WHERE incident_id = $1 ORDER BY created_at, id LIMIT $2"#,
        incident,
        MOST
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(decisions)
}

/// An order of one of the incident's attempts.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_agent_commands, as they are")]
pub struct OrderedRow {
    pub id: Uuid,
    pub attempt_id: Option<Uuid>,
    pub command_type: String,
    pub status: String,
    pub version: Option<String>,
    pub created_by: Option<String>,
    pub error_message: Option<String>,
    pub response: Option<Value>,
    pub created_at: SqlTimestamp,
    pub sent_at: Option<SqlTimestamp>,
    pub acknowledged_at: Option<SqlTimestamp>,
    pub executing_at: Option<SqlTimestamp>,
    pub completed_at: Option<SqlTimestamp>,
}

/// The orders of an incident's attempts, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn orders(db: &Db, incident: Uuid) -> Result<Vec<OrderedRow>, StoreError> {
    let orders = sqlx::query_as!(
        OrderedRow,
        r#"SELECT command.id, command.attempt_id, command.command_type, command.status,
             command.command_payload ->> 'version' AS version, command.created_by, command.error_message,
             command.response, command.created_at AS "created_at: SqlTimestamp",
             command.sent_at AS "sent_at: SqlTimestamp", command.acknowledged_at AS "acknowledged_at: SqlTimestamp",
             command.executing_at AS "executing_at: SqlTimestamp",
             command.completed_at AS "completed_at: SqlTimestamp"
           FROM plugin_agent_commands command
           WHERE command.attempt_id IN (SELECT id FROM plugin_autopatch_attempts WHERE incident_id = $1)
           ORDER BY command.created_at, command.id LIMIT $2"#,
        incident,
        MOST
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(orders)
}

/// A change of the version that a plugin said it runs.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_version_changes, as they are")]
pub struct VersionChange {
    pub at: SqlTimestamp,
    pub from_version: String,
    pub to_version: String,
}

/// The changes of a plugin's version between two moments, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn versions(db: &Db, plugin: Uuid, from: Timestamp, to: Timestamp) -> Result<Vec<VersionChange>, StoreError> {
    let versions = sqlx::query_as!(
        VersionChange,
        r#"SELECT at AS "at: SqlTimestamp", from_version, to_version FROM plugin_version_changes
           WHERE plugin_id = $1 AND at >= $2 AND at <= $3 ORDER BY at LIMIT $4"#,
        plugin,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        MOST
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(versions)
}

/// What a plugin counted in one step of time.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_telemetry, summed")]
pub struct PointRow {
    pub at: SqlTimestamp,
    pub requests: i64,
    pub errors: i64,
    pub webhook_total: i64,
    pub webhook_failed: i64,
    /// The worst 95th percentile of the windows in it.
    pub p95_ms: Option<f64>,
}

/// A plugin's telemetry between two moments, summed in steps; steps without windows are left out.
///
/// # Errors
/// When the database fails.
pub async fn series(
    db: &Db,
    spine: &Spine,
    (from, to): (Timestamp, Timestamp),
    step: SignedDuration,
) -> Result<Vec<PointRow>, StoreError> {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand seconds")]
    let step = step.as_secs() as f64;
    let points = sqlx::query_as!(
        PointRow,
        r#"SELECT date_bin(make_interval(secs => $5), window_from, $3) AS "at!: SqlTimestamp",
             sum(requests)::bigint AS "requests!", sum(errors)::bigint AS "errors!",
             sum(webhook_total)::bigint AS "webhook_total!", sum(webhook_failed)::bigint AS "webhook_failed!",
             max(plugmend_json_number(latency, 'p95_ms')) AS "p95_ms?"
           FROM (
             SELECT * FROM plugin_telemetry
             WHERE merchant_id = $1 AND plugin_id = $2 AND window_from >= $3 AND window_from < $4
             ORDER BY window_from LIMIT $6) AS window_of_time
           GROUP BY 1 ORDER BY 1 LIMIT $7"#,
        spine.merchant_id,
        spine.merchant_plugin_id,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        step,
        MOST_WINDOWS,
        MOST_POINTS
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(points)
}
