//! Figures that were counted before (`ops_kept_figures`).

use jiff::Timestamp;
use serde_json::Value;

use crate::store::{Db, SqlTimestamp, StoreError, ToSqlx as _};

/// Figures that were counted before.
#[derive(Debug, Clone)]
pub struct Kept {
    /// When.
    pub counted_at: Timestamp,
    /// How long that took, in ms.
    pub took_ms: i32,
    /// What came out.
    pub data: Value,
}

/// The figures of a name.
///
/// # Errors
/// When the database fails.
pub async fn kept(db: &Db, name: &str) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT counted_at AS "counted_at: SqlTimestamp", took_ms, data FROM ops_kept_figures WHERE name = $1"#,
        name
    )
    .fetch_optional(db.reading_pool())
    .await?;
    Ok(row.map(|row| Kept {
        counted_at: row.counted_at.to_jiff(),
        took_ms: row.took_ms,
        data: row.data,
    }))
}

/// Keeps figures under a name; older ones do not replace newer ones.
///
/// # Errors
/// When the database fails.
pub async fn keep(db: &Db, name: &str, figures: &Kept) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO ops_kept_figures (name, counted_at, took_ms, data) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE
         SET counted_at = excluded.counted_at, took_ms = excluded.took_ms, data = excluded.data
         WHERE ops_kept_figures.counted_at <= excluded.counted_at",
        name,
        figures.counted_at.to_sqlx() as _,
        figures.took_ms,
        figures.data
    )
    .execute(db.pool())
    .await?;
    Ok(())
}
