//! What is old is forgotten. Each batch looks at the oldest rows behind the place where the last one ended, so that what
//! must stay is not looked at again and again; the audit trail is never touched.

use jiff::Timestamp;
use uuid::Uuid;

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::learning::MOST_JUDGED;

/// What is forgotten, in this order: nothing goes before what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Orders that have ended.
    Commands,
    /// What came of decisions. What it taught is in the beliefs since the moment it was written.
    Feedback,
    /// Decisions.
    Decisions,
    /// Attempts that have ended.
    Attempts,
    /// Incidents that are closed.
    Incidents,
    /// Which version ran where.
    VersionChanges,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 6] = [
        Self::Commands,
        Self::Feedback,
        Self::Decisions,
        Self::Attempts,
        Self::Incidents,
        Self::VersionChanges,
    ];

    /// What the audit trail calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Feedback => "feedback",
            Self::Decisions => "decisions",
            Self::Attempts => "attempts",
            Self::Incidents => "incidents",
            Self::VersionChanges => "version_changes",
        }
    }
}

/// A row's place in the order of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When it was made.
    pub at: Timestamp,
    /// Its id, or its plugin's.
    pub id: Uuid,
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// How many rows were forgotten.
    pub gone: u64,
    /// Where the next batch goes on; none when there is nothing older left to look at.
    pub next: Option<Place>,
}

struct Row {
    gone: i64,
    looked: i64,
    at: Option<SqlTimestamp>,
    id: Option<Uuid>,
}

/// One statement for each kind: the oldest `$4` rows from before `$1` behind (`$2`, `$3`), of which those go that `$keep`
/// does not keep.
macro_rules! forget_batch {
    ($tx:ident, $at:tt, $id:tt, $table:tt, $keep:tt, $before:ident, $after:ident, $limit:ident $(, $more:expr)*) => {
        sqlx::query_as!(
            Row,
            "WITH looked AS (SELECT " + $at + " AS at, " + $id + " AS id FROM " + $table
                + " WHERE " + $at + " < $1 AND (" + $at + ", " + $id + ") > ($2, $3) ORDER BY 1, 2 LIMIT $4),
               gone AS (DELETE FROM " + $table + " old USING looked
                 WHERE old." + $at + " = looked.at AND old." + $id + " = looked.id AND " + $keep + " RETURNING 1),
               last AS (SELECT at, id FROM looked ORDER BY at DESC, id DESC LIMIT 1)
             SELECT (SELECT count(*) FROM gone) AS \"gone!\", (SELECT count(*) FROM looked) AS \"looked!\",
               (SELECT at FROM last) AS \"at: SqlTimestamp\", (SELECT id FROM last) AS \"id\"",
            $before.to_sqlx() as _,
            $after.at.to_sqlx() as _,
            $after.id,
            $limit
            $(, $more)*
        )
        .fetch_one(&mut **$tx)
        .await?
    };
}

/// Forgets one batch of a kind from before `before`, at most `limit` rows behind `after`.
///
/// An order stays while its attempt or incident lives, and the latest settings of a plugin stay; feedback that a decider is
/// judged by stays, and what is still to be learned from; an attempt that keeps a release from a plugin stays; and nothing
/// goes that something younger names.
///
/// # Errors
/// When the database fails.
pub async fn forget(
    tx: &mut Tx,
    kind: Kind,
    before: Timestamp,
    after: Option<Place>,
    limit: i64,
) -> Result<Batch, StoreError> {
    let after = after.unwrap_or(Place {
        at: Timestamp::UNIX_EPOCH,
        id: Uuid::nil(),
    });
    let row = match kind {
        Kind::Commands => commands(tx, before, after, limit).await?,
        Kind::Feedback => feedback(tx, before, after, limit).await?,
        Kind::Decisions => decisions(tx, before, after, limit).await?,
        Kind::Attempts => attempts(tx, before, after, limit).await?,
        Kind::Incidents => incidents(tx, before, after, limit).await?,
        Kind::VersionChanges => version_changes(tx, before, after, limit).await?,
    };
    let last = row.at.zip(row.id).map(|(at, id)| Place { at: at.to_jiff(), id });
    Ok(Batch {
        gone: u64::try_from(row.gone).unwrap_or(0),
        next: last.filter(|_| row.looked >= limit),
    })
}

async fn commands(tx: &mut Tx, before: Timestamp, after: Place, limit: i64) -> Result<Row, StoreError> {
    Ok(forget_batch!(
        tx,
        "created_at",
        "id",
        "plugin_agent_commands",
        "old.status IN ('completed', 'failed', 'timeout') AND old.updated_at < $1
           AND NOT EXISTS (
             SELECT 1 FROM plugin_autopatch_attempts attempt
             LEFT JOIN plugin_incidents incident ON incident.id = attempt.incident_id
             WHERE attempt.id = old.attempt_id
               AND (attempt.status IN ('pending', 'staging', 'applying') OR attempt.updated_at >= $1
                    OR incident.status <> 'closed'))
           AND (old.command_type <> 'config_update' OR old.status <> 'completed' OR 50 <= (
             SELECT count(*) FROM (
               SELECT 1 FROM plugin_agent_commands newer
               WHERE newer.merchant_plugin_id = old.merchant_plugin_id AND newer.command_type = 'config_update'
                 AND newer.status = 'completed' AND newer.completed_at > old.completed_at LIMIT 50) newest))",
        before,
        after,
        limit
    ))
}

async fn feedback(tx: &mut Tx, before: Timestamp, after: Place, limit: i64) -> Result<Row, StoreError> {
    let judged = i64::try_from(MOST_JUDGED).unwrap_or(i64::MAX);
    Ok(forget_batch!(
        tx,
        "created_at",
        "id",
        "sira_learning_feedback",
        "NOT EXISTS (SELECT 1 FROM sira_lessons_due due WHERE due.attempt_id = old.autopatch_attempt_id)
           AND (old.source IS NULL OR coalesce(old.feedback_label NOT IN ('positive', 'negative'), true) OR $5 <= (
             SELECT count(*) FROM (
               SELECT 1 FROM sira_learning_feedback newer
               WHERE newer.source = old.source AND newer.feedback_label IN ('positive', 'negative')
                 AND newer.created_at > old.created_at LIMIT $5) newest))",
        before,
        after,
        limit,
        judged
    ))
}

async fn decisions(tx: &mut Tx, before: Timestamp, after: Place, limit: i64) -> Result<Row, StoreError> {
    Ok(forget_batch!(
        tx,
        "created_at",
        "id",
        "sira_decisions",
        "NOT EXISTS (SELECT 1 FROM sira_learning_feedback feedback WHERE feedback.decision_id = old.id)
           AND NOT EXISTS (
             SELECT 1 FROM plugin_incidents incident
             WHERE incident.id = old.incident_id AND (incident.status <> 'closed' OR incident.updated_at >= $1))",
        before,
        after,
        limit
    ))
}

async fn attempts(tx: &mut Tx, before: Timestamp, after: Place, limit: i64) -> Result<Row, StoreError> {
    Ok(forget_batch!(
        tx,
        "created_at",
        "id",
        "plugin_autopatch_attempts",
        "old.status IN ('success', 'failed', 'rolled_back', 'cancelled') AND old.updated_at < $1
           AND NOT EXISTS (SELECT 1 FROM plugin_agent_commands command WHERE command.attempt_id = old.id)
           AND NOT EXISTS (SELECT 1 FROM sira_learning_feedback feedback WHERE feedback.autopatch_attempt_id = old.id)
           AND NOT EXISTS (SELECT 1 FROM sira_lessons_due due WHERE due.attempt_id = old.id)
           AND NOT EXISTS (
             SELECT 1 FROM release_quarantines quarantine
             WHERE quarantine.attempt_id = old.id AND quarantine.lifted_at IS NULL)
           AND NOT EXISTS (
             SELECT 1 FROM plugin_incidents incident
             WHERE incident.id = old.incident_id AND (incident.status <> 'closed' OR incident.updated_at >= $1))",
        before,
        after,
        limit
    ))
}

async fn incidents(tx: &mut Tx, before: Timestamp, after: Place, limit: i64) -> Result<Row, StoreError> {
    Ok(forget_batch!(
        tx,
        "created_at",
        "id",
        "plugin_incidents",
        "old.status = 'closed' AND old.updated_at < $1
           AND NOT EXISTS (SELECT 1 FROM plugin_autopatch_attempts attempt WHERE attempt.incident_id = old.id)
           AND NOT EXISTS (SELECT 1 FROM sira_decisions decision WHERE decision.incident_id = old.id)
           AND NOT EXISTS (SELECT 1 FROM sira_learning_feedback feedback WHERE feedback.incident_id = old.id)
           AND NOT EXISTS (SELECT 1 FROM plugin_incidents other WHERE other.duplicate_of = old.id)",
        before,
        after,
        limit
    ))
}

async fn version_changes(tx: &mut Tx, before: Timestamp, after: Place, limit: i64) -> Result<Row, StoreError> {
    Ok(forget_batch!(
        tx,
        "at",
        "plugin_id",
        "plugin_version_changes",
        "EXISTS (SELECT 1 FROM plugin_version_changes newer WHERE newer.plugin_id = old.plugin_id AND newer.at > old.at)",
        before,
        after,
        limit
    ))
}
