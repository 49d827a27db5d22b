//! How well the fleet is kept: durations and shares over a span of days.

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};

use super::Counted;
use crate::{
    domain::learning::Forecast,
    store::{Db, SqlTimestamp, StoreError, ToSqlx as _},
};

/// Confidences that are looked at, at most.
const CONFIDENCES: i64 = 100_000;

/// From when to when, and whose.
#[derive(Debug, Clone, Copy)]
pub struct KpiSpan {
    /// From this moment.
    pub since: Timestamp,
    /// Up to this one.
    pub until: Timestamp,
    /// Of one merchant, or of all.
    pub merchant_id: Option<MerchantId>,
}

/// How long something took, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Durations {
    /// How often it was measured.
    pub count: i64,
    /// The mean; none of nothing.
    pub mean_s: Option<f64>,
    /// Half took no longer.
    pub p50_s: Option<f64>,
    /// Nineteen of twenty took no longer.
    pub p95_s: Option<f64>,
}

macro_rules! durations {
    ($span:expr, $db:expr, $sql:literal $(, $more:expr)*) => {
        Ok(sqlx::query_as!(
            Durations,
            r#"SELECT count(*) AS "count!", avg(s)::double precision AS "mean_s?",
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS "p50_s?",
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY s) AS "p95_s?" FROM ("#
                + $sql
                + ") AS taken (s)",
            $span.since.to_sqlx() as SqlTimestamp,
            $span.until.to_sqlx() as SqlTimestamp,
            $span.merchant_id.map(|id| id.0) $(, $more)*
        )
        .fetch_one($db.reading_pool())
        .await?)
    };
}

/// From the first sign of an illness to its incident. Silence, which takes its time by nature, is asked for by itself.
///
/// # Errors
/// When the database fails.
pub async fn mttd(db: &Db, span: KpiSpan, silence: bool) -> Result<Durations, StoreError> {
    durations!(
        span,
        db,
        "SELECT extract(epoch FROM detected_at - began_at)::double precision FROM plugin_incidents
         WHERE detected_at >= $1 AND detected_at < $2 AND ($3::uuid IS NULL OR merchant_id = $3)
           AND began_at IS NOT NULL AND (incident_type = 'heartbeat_missed') = $4",
        silence
    )
}

/// From an incident to the success of its cure, where nobody had to be asked.
///
/// # Errors
/// When the database fails.
pub async fn mttr(db: &Db, span: KpiSpan) -> Result<Durations, StoreError> {
    durations!(
        span,
        db,
        "SELECT extract(epoch FROM min(attempt.status_since) - incident.detected_at)::double precision
         FROM plugin_autopatch_attempts attempt JOIN plugin_incidents incident ON incident.id = attempt.incident_id
         WHERE attempt.created_at >= $1 AND attempt.created_at < $2 AND ($3::uuid IS NULL OR attempt.merchant_id = $3)
           AND attempt.status = 'success' AND attempt.origin = 'automatic' AND attempt.approval_needed IS NULL
         GROUP BY incident.id, incident.detected_at"
    )
}

/// From the beginning of a cure to its success.
///
/// # Errors
/// When the database fails.
pub async fn patch_time(db: &Db, span: KpiSpan) -> Result<Durations, StoreError> {
    durations!(
        span,
        db,
        "SELECT extract(epoch FROM status_since - created_at)::double precision FROM plugin_autopatch_attempts
         WHERE created_at >= $1 AND created_at < $2 AND ($3::uuid IS NULL OR merchant_id = $3)
           AND status = 'success' AND origin IS NOT NULL"
    )
}

/// How automatic attempts ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AttemptsEnded)]
pub struct Ended {
    /// They worked.
    pub success: i64,
    /// They did not.
    pub failed: i64,
    /// They were taken back.
    pub rolled_back: i64,
    /// They were not begun.
    pub cancelled: i64,
}

/// How automatic attempts ended.
///
/// # Errors
/// When the database fails.
pub async fn ended(db: &Db, span: KpiSpan) -> Result<Ended, StoreError> {
    let ended = sqlx::query_as!(
        Ended,
        r#"SELECT count(*) FILTER (WHERE status = 'success') AS "success!",
             count(*) FILTER (WHERE status = 'failed') AS "failed!",
             count(*) FILTER (WHERE status = 'rolled_back') AS "rolled_back!",
             count(*) FILTER (WHERE status = 'cancelled') AS "cancelled!"
           FROM plugin_autopatch_attempts
           WHERE created_at >= $1 AND created_at < $2 AND ($3::uuid IS NULL OR merchant_id = $3)
             AND executed_by = 'sira'"#,
        span.since.to_sqlx() as SqlTimestamp,
        span.until.to_sqlx() as SqlTimestamp,
        span.merchant_id.map(|id| id.0)
    )
    .fetch_one(db.reading_pool())
    .await?;
    Ok(ended)
}

/// How many incidents there were, by type and severity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = IncidentShare)]
pub struct Share {
    /// The type.
    pub incident_type: String,
    /// The severity.
    pub severity: String,
    /// How many.
    pub incidents: i64,
    /// How many of them people were called for.
    pub escalated: i64,
}

/// Incidents by type and severity.
///
/// # Errors
/// When the database fails.
pub async fn incidents(db: &Db, span: KpiSpan) -> Result<Vec<Share>, StoreError> {
    let shares = sqlx::query_as!(
        Share,
        r#"SELECT incident_type, severity, count(*) AS "incidents!",
             count(*) FILTER (WHERE escalated_to_ops) AS "escalated!"
           FROM plugin_incidents
           WHERE detected_at >= $1 AND detected_at < $2 AND ($3::uuid IS NULL OR merchant_id = $3)
           GROUP BY incident_type, severity ORDER BY incident_type, severity"#,
        span.since.to_sqlx() as SqlTimestamp,
        span.until.to_sqlx() as SqlTimestamp,
        span.merchant_id.map(|id| id.0)
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(shares)
}

/// What deciders said of their chances: how often in each tenth; and what became of it, by who said it.
///
/// # Errors
/// When the database fails.
pub async fn confidences(
    db: &Db,
    span: KpiSpan,
) -> Result<(Vec<(i32, i64)>, std::collections::BTreeMap<String, Vec<Forecast>>), StoreError> {
    let (since, until) = (span.since.to_sqlx(), span.until.to_sqlx());
    let said = sqlx::query!(
        r#"SELECT least(floor(plugmend_json_number(output, 'confidence') * 10), 9)::integer AS "tenth!",
             count(*) AS "n!"
           FROM sira_decisions
           WHERE created_at >= $1 AND created_at < $2 AND ($3::uuid IS NULL OR merchant_id = $3)
             AND plugmend_json_number(output, 'confidence') BETWEEN 0 AND 1
           GROUP BY 1 ORDER BY 1"#,
        since as SqlTimestamp,
        until as SqlTimestamp,
        span.merchant_id.map(|id| id.0)
    )
    .fetch_all(db.reading_pool())
    .await?;
    let rows = sqlx::query!(
        r#"SELECT feedback.source AS "source!", feedback.confidence AS "confidence!",
             feedback.feedback_label = 'positive' AS "worked!"
           FROM sira_learning_feedback feedback
           LEFT JOIN plugin_autopatch_attempts attempt ON attempt.id = feedback.autopatch_attempt_id
           WHERE feedback.source IS NOT NULL AND feedback.feedback_label IN ('positive', 'negative')
             AND feedback.confidence IS NOT NULL AND feedback.created_at >= $1 AND feedback.created_at < $2
             AND ($3::uuid IS NULL OR attempt.merchant_id = $3)
           ORDER BY feedback.created_at DESC LIMIT $4"#,
        since as SqlTimestamp,
        until as SqlTimestamp,
        span.merchant_id.map(|id| id.0),
        CONFIDENCES
    )
    .fetch_all(db.reading_pool())
    .await?;
    let mut forecasts = std::collections::BTreeMap::<String, Vec<Forecast>>::new();
    for row in rows {
        forecasts.entry(row.source).or_default().push(Forecast {
            confidence: row.confidence,
            worked: row.worked,
        });
    }
    Ok((said.into_iter().map(|row| (row.tenth, row.n)).collect(), forecasts))
}

/// Sums rows by a word.
pub fn summed<'a>(shares: &'a [Share], word: impl Fn(&'a Share) -> &'a str) -> Counted {
    let mut sums = Counted::new();
    for share in shares {
        *sums.entry(word(share).to_owned()).or_default() += share.incidents;
    }
    sums
}
