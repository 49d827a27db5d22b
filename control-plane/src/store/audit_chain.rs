//! The chain over the audit trail (`audit_waiting`, `audit_leaves`, `audit_checkpoints`).

use jiff::Timestamp;
use plugmend_shared::{
    audit::{
        entry::{AuditEntry, ExportedEntry},
        merkle::Tree,
    },
    ids::Digest,
};
use uuid::Uuid;

use super::{Db, StoreError, ToSqlx as _, Tx};

/// The lock that one sealer at a time holds among all replicas; an arbitrary number, used for nothing else.
const SEALER_LOCK: i64 = 0x706c_7567_6175_6474;

/// The newest checkpoint.
#[derive(Debug, Clone)]
pub struct Newest {
    /// As it was signed.
    pub note: String,
    /// The tree that it is the head of.
    pub tree: Tree,
}

/// The entry of a row that a `LEFT JOIN` may have left without one. Each query has a row type of its own.
macro_rules! joined_entry {
    ($row:ident) => {
        $row.id.map(|id| AuditEntry {
            id,
            merchant_id: $row.merchant_id,
            merchant_plugin_id: $row.merchant_plugin_id,
            actor_id: $row.actor_id,
            actor_type: $row.actor_type.unwrap_or_default(),
            action: $row.action.unwrap_or_default(),
            details: $row.details.unwrap_or_default(),
            ip_address: $row.ip_address,
            user_agent: $row.user_agent,
            created_at_us: $row.created_at_us.unwrap_or_default(),
        })
    };
}

/// Becomes the sealer until the transaction ends; false when another replica is.
///
/// # Errors
/// When the database fails.
pub async fn become_sealer(tx: &mut Tx) -> Result<bool, StoreError> {
    let got = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "got!""#, SEALER_LOCK)
        .fetch_one(&mut **tx)
        .await?;
    Ok(got)
}

/// The newest checkpoint; none before the first.
///
/// # Errors
/// When the database fails, or what is stored is no tree.
pub async fn newest(tx: &mut Tx) -> Result<Option<Newest>, StoreError> {
    let row = sqlx::query!("SELECT size, note, heads FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let size = u64::try_from(row.size).map_err(|e| StoreError::corrupt("checkpoint", e))?;
    let heads = row.heads.chunks(32).map(digest).collect::<Result<_, _>>()?;
    let tree = Tree::restore(size, heads).map_err(|e| StoreError::corrupt("checkpoint", e))?;
    Ok(Some(Newest { note: row.note, tree }))
}

/// The newest checkpoint as it was signed, for those who witness.
///
/// # Errors
/// When the database fails.
pub async fn newest_note(db: &Db) -> Result<Option<String>, StoreError> {
    let note = sqlx::query_scalar!("SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
        .fetch_optional(db.pool())
        .await?;
    Ok(note)
}

/// At most `limit` checkpoints of more than `after` entries, the smallest first.
///
/// # Errors
/// When the database fails.
pub async fn notes_after(db: &Db, after: u64, limit: i64) -> Result<Vec<String>, StoreError> {
    let notes = sqlx::query_scalar!(
        "SELECT note FROM audit_checkpoints WHERE size > $1 ORDER BY size LIMIT $2",
        i64::try_from(after).unwrap_or(i64::MAX),
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(notes)
}

/// At most `limit` entries that wait for their place, in the order of their writing. One that is gone is none.
///
/// # Errors
/// When the database fails.
pub async fn waiting(tx: &mut Tx, limit: i64) -> Result<Vec<(i64, Uuid, Option<AuditEntry>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT w.number, w.entry_id, a.entry_id AS "id?", a.merchant_id, a.merchant_plugin_id, a.actor_id,
             a.actor_type AS "actor_type?", a.action AS "action?", a.details::text AS details,
             a.ip_address::text AS ip_address, a.user_agent,
             (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at_us
           FROM audit_waiting w LEFT JOIN plugin_audit a ON a.entry_id = w.entry_id
           ORDER BY w.number LIMIT $1"#,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let entry = joined_entry!(row);
            (row.number, row.entry_id, entry)
        })
        .collect())
}

/// Writes down the places of entries, from `first` on, and lets them wait no more.
///
/// # Errors
/// [`StoreError::Conflict`] when an entry has a place already.
pub async fn place(tx: &mut Tx, first: u64, leaves: &[(Uuid, Digest)], numbers: &[i64]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = leaves.iter().map(|(id, _)| *id).collect();
    let hashes: Vec<Vec<u8>> = leaves.iter().map(|(_, leaf)| leaf.0.to_vec()).collect();
    sqlx::query!(
        "INSERT INTO audit_leaves (seq, entry_id, leaf)
         SELECT $1 + t.n - 1, t.id, t.leaf FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS t (id, leaf, n)",
        i64::try_from(first).unwrap_or(i64::MAX),
        &ids,
        &hashes
    )
    .execute(&mut **tx)
    .await?;
    // Exactly those: one with a smaller number may have been committed in between.
    sqlx::query!("DELETE FROM audit_waiting WHERE number = ANY ($1)", numbers)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Stores a checkpoint.
///
/// # Errors
/// When the database fails.
pub async fn checkpoint(tx: &mut Tx, note: &str, tree: &Tree, now: Timestamp) -> Result<(), StoreError> {
    let heads: Vec<u8> = tree.heads().iter().flat_map(|head| head.0).collect();
    sqlx::query!(
        "INSERT INTO audit_checkpoints (size, note, heads, created_at) VALUES ($1, $2, $3, $4)",
        i64::try_from(tree.size()).unwrap_or(i64::MAX),
        note,
        heads,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// At most `limit` placed entries from `from` on, as they are exported.
///
/// # Errors
/// When the database fails.
pub async fn export(db: &Db, from: u64, limit: i64) -> Result<Vec<ExportedEntry>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT l.seq, l.leaf, a.entry_id AS "id?", a.merchant_id, a.merchant_plugin_id, a.actor_id,
             a.actor_type AS "actor_type?", a.action AS "action?", a.details::text AS details,
             a.ip_address::text AS ip_address, a.user_agent,
             (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at_us
           FROM audit_leaves l LEFT JOIN plugin_audit a ON a.entry_id = l.entry_id
           WHERE l.seq >= $1 ORDER BY l.seq LIMIT $2"#,
        i64::try_from(from).unwrap_or(i64::MAX),
        limit
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let entry = joined_entry!(row);
            Ok(ExportedEntry {
                seq: u64::try_from(row.seq).ok(),
                leaf: Some(digest(&row.leaf)?),
                entry,
            })
        })
        .collect()
}

/// At most `limit` entries that have no place, whether they wait for one or were put in past the chain.
///
/// # Errors
/// When the database fails.
pub async fn without_place(db: &Db, limit: i64) -> Result<Vec<ExportedEntry>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.entry_id AS id, a.merchant_id, a.merchant_plugin_id, a.actor_id, a.actor_type, a.action,
             a.details::text AS "details!", a.ip_address::text AS ip_address, a.user_agent,
             (extract(epoch FROM a.created_at) * 1000000)::bigint AS "created_at_us!"
           FROM plugin_audit a WHERE NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.entry_id = a.entry_id)
           ORDER BY a.created_at LIMIT $1"#,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    let exported = |row| ExportedEntry {
        seq: None,
        leaf: None,
        entry: Some(row),
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            exported(AuditEntry {
                id: row.id,
                merchant_id: row.merchant_id,
                merchant_plugin_id: row.merchant_plugin_id,
                actor_id: row.actor_id,
                actor_type: row.actor_type,
                action: row.action,
                details: row.details,
                ip_address: row.ip_address,
                user_agent: row.user_agent,
                created_at_us: row.created_at_us,
            })
        })
        .collect())
}

/// The newest checkpoints that agents said they hold, the largest first; as they say.
///
/// # Errors
/// When the database fails.
pub async fn witnessed(db: &Db, limit: i64) -> Result<Vec<String>, StoreError> {
    let notes = sqlx::query_scalar!(
        r#"SELECT note AS "note!" FROM (
             SELECT DISTINCT telemetry ->> 'audit' AS note FROM merchant_plugins
             WHERE telemetry ? 'audit' AND agent_managed) AS held
           ORDER BY CASE WHEN split_part(note, E'\n', 2) ~ '^[0-9]{1,18}$' THEN split_part(note, E'\n', 2)::bigint ELSE 0 END DESC,
             note
           LIMIT $1"#,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(notes)
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    let bytes = bytes
        .try_into()
        .map_err(|e| StoreError::corrupt("leaf of the audit", e))?;
    Ok(Digest(bytes))
}
