//! Quarantines as people see them, and their end.

use jiff::Timestamp;
use plugmend_shared::ids::Digest;
use uuid::Uuid;

use super::super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// A release that is kept from a plugin, or from everybody.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of release_quarantines, as they are")]
pub struct QuarantineView {
    pub id: Uuid,
    pub product: String,
    pub version: String,
    pub release_digest: Digest,
    pub plugin_id: Option<Uuid>,
    pub merchant_id: Option<Uuid>,
    pub attempt_id: Option<Uuid>,
    pub incident_id: Option<Uuid>,
    pub reason: String,
    pub counts: bool,
    pub created_at: Timestamp,
    pub lifted_at: Option<Timestamp>,
    pub lifted_by: Option<String>,
    pub lifted_why: Option<String>,
}

/// Which quarantines.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one product only.
    pub product: Option<String>,
    /// Of one plugin only.
    pub plugin_id: Option<Uuid>,
    /// Those that keep a release from everybody (true), or from one plugin (false).
    pub is_everywhere: Option<bool>,
    /// Those that were lifted (true), or hold (false).
    pub is_lifted: Option<bool>,
    /// After this one.
    pub after: Option<(Timestamp, Uuid)>,
}

struct ViewRow {
    id: Uuid,
    product: String,
    version: String,
    release_digest: Vec<u8>,
    plugin_id: Option<Uuid>,
    merchant_id: Option<Uuid>,
    attempt_id: Option<Uuid>,
    incident_id: Option<Uuid>,
    reason: String,
    counts: bool,
    created_at: SqlTimestamp,
    lifted_at: Option<SqlTimestamp>,
    lifted_by: Option<String>,
    lifted_why: Option<String>,
}

/// Quarantines, newest first.
///
/// # Errors
/// When the database fails or a row can not be read.
pub async fn list(db: &Db, filter: &Filter, limit: i64) -> Result<Vec<QuarantineView>, StoreError> {
    let (at, id) = filter.after.unwrap_or((Timestamp::MAX, Uuid::max()));
    let rows = sqlx::query_as!(
        ViewRow,
        r#"SELECT quarantine.id, quarantine.product, quarantine.version, quarantine.release_digest, quarantine.plugin_id,
             plugin.merchant_id AS "merchant_id?", quarantine.attempt_id, attempt.incident_id AS "incident_id?",
             quarantine.reason, quarantine.counts, quarantine.created_at AS "created_at: SqlTimestamp",
             quarantine.lifted_at AS "lifted_at: SqlTimestamp", quarantine.lifted_by, quarantine.lifted_why
           FROM release_quarantines quarantine
           LEFT JOIN merchant_plugins plugin ON plugin.id = quarantine.plugin_id
           LEFT JOIN plugin_autopatch_attempts attempt ON attempt.id = quarantine.attempt_id
           WHERE (quarantine.created_at, quarantine.id) < ($1, $2)
             AND ($3::text IS NULL OR quarantine.product = $3)
             AND ($4::uuid IS NULL OR quarantine.plugin_id = $4)
             AND ($5::boolean IS NULL OR (quarantine.plugin_id IS NULL) = $5)
             AND ($6::boolean IS NULL OR (quarantine.lifted_at IS NOT NULL) = $6)
           ORDER BY quarantine.created_at DESC, quarantine.id DESC LIMIT $7"#,
        at.to_sqlx() as _,
        id,
        filter.product,
        filter.plugin_id,
        filter.is_everywhere,
        filter.is_lifted,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter().map(QuarantineView::try_from).collect()
}

/// One quarantine that holds, held until the transaction ends, so that it can be lifted.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<QuarantineView>, StoreError> {
    let row = sqlx::query_as!(
        ViewRow,
        r#"SELECT quarantine.id, quarantine.product, quarantine.version, quarantine.release_digest, quarantine.plugin_id,
             plugin.merchant_id AS "merchant_id?", quarantine.attempt_id, attempt.incident_id AS "incident_id?",
             quarantine.reason, quarantine.counts, quarantine.created_at AS "created_at: SqlTimestamp",
             quarantine.lifted_at AS "lifted_at: SqlTimestamp", quarantine.lifted_by, quarantine.lifted_why
           FROM release_quarantines quarantine
           LEFT JOIN merchant_plugins plugin ON plugin.id = quarantine.plugin_id
           LEFT JOIN plugin_autopatch_attempts attempt ON attempt.id = quarantine.attempt_id
           WHERE quarantine.id = $1 FOR UPDATE OF quarantine"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(QuarantineView::try_from).transpose()
}

/// Lifts one that is held; whether it still held.
///
/// # Errors
/// When the database fails.
pub async fn lift(tx: &mut Tx, id: Uuid, (who, why): (&str, &str), now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE release_quarantines SET lifted_at = $2, lifted_by = $3, lifted_why = $4
         WHERE id = $1 AND lifted_at IS NULL",
        id,
        now.to_sqlx() as _,
        who,
        why
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

impl TryFrom<ViewRow> for QuarantineView {
    type Error = StoreError;

    fn try_from(row: ViewRow) -> Result<Self, StoreError> {
        let digest = <[u8; 32]>::try_from(row.release_digest);
        Ok(Self {
            id: row.id,
            product: row.product,
            version: row.version,
            release_digest: digest
                .map(Digest)
                .map_err(|_| StoreError::corrupt("quarantine", "a digest is not 32 bytes"))?,
            plugin_id: row.plugin_id,
            merchant_id: row.merchant_id,
            attempt_id: row.attempt_id,
            incident_id: row.incident_id,
            reason: row.reason,
            counts: row.counts,
            created_at: row.created_at.to_jiff(),
            lifted_at: row.lifted_at.map(SqlTimestamp::to_jiff),
            lifted_by: row.lifted_by,
            lifted_why: row.lifted_why,
        })
    }
}
