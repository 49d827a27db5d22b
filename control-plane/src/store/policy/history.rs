//! What the policy was (`ops_policy_history`).

use jiff::Timestamp;
use serde_json::Value;

use super::super::{Db, SqlTimestamp, StoreError};

/// One change of the policy.
#[derive(Debug, Clone)]
pub struct PolicyRecord {
    /// Its place in the history.
    pub id: i64,
    /// The policy's version from then on.
    pub version: i64,
    /// When.
    pub changed_at: Timestamp,
    /// By whom: a person, or the database's role where it was SQL.
    pub changed_by: String,
    /// Whether by SQL.
    pub by_hand: bool,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// `{column: {was, is}}`.
    pub changes: Value,
    /// The whole from then on; none when it was deleted.
    pub policy: Option<Value>,
}

/// Changes of the policy before the one at `after`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn history(db: &Db, after: Option<i64>, limit: i64) -> Result<Vec<PolicyRecord>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, version, changed_at AS "changed_at: SqlTimestamp", changed_by, by_hand, reason, changes, policy
           FROM ops_policy_history WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    let record = rows.into_iter().map(|row| PolicyRecord {
        id: row.id,
        version: row.version,
        changed_at: row.changed_at.to_jiff(),
        changed_by: row.changed_by,
        by_hand: row.by_hand,
        reason: row.reason,
        changes: row.changes,
        policy: row.policy,
    });
    Ok(record.collect())
}
