//! Merchants.

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// Stores a merchant.
///
/// # Errors
/// [`StoreError::Conflict`] when the id is taken.
pub async fn insert(tx: &mut Tx, id: MerchantId, name: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO merchants (id, name, created_at) VALUES ($1, $2, $3)",
        id.0,
        name,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether there is such a merchant.
///
/// # Errors
/// When the database fails.
pub async fn exists(tx: &mut Tx, id: MerchantId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM merchants WHERE id = $1) AS "exists!""#,
        id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found)
}

/// A merchant and what it wants of automatic changes.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MerchantView {
    /// Its id.
    pub id: MerchantId,
    /// Its name.
    pub name: String,
    /// Whether it wants none.
    pub autopatch_opt_out: bool,
    /// When it wants them, as it is stored; none for any time.
    pub maintenance_window: Option<Value>,
    /// Since when it is known.
    pub created_at: Timestamp,
}

struct MerchantRow {
    id: Uuid,
    name: String,
    autopatch_opt_out: bool,
    maintenance_window: Option<Value>,
    created_at: SqlTimestamp,
}

impl From<MerchantRow> for MerchantView {
    fn from(row: MerchantRow) -> Self {
        Self {
            id: MerchantId(row.id),
            name: row.name,
            autopatch_opt_out: row.autopatch_opt_out,
            maintenance_window: row.maintenance_window,
            created_at: row.created_at.to_jiff(),
        }
    }
}

/// At most `limit` merchants after `after`, by id; with `only`, at most that one.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &Db,
    only: Option<MerchantId>,
    after: Option<MerchantId>,
    limit: i64,
) -> Result<Vec<MerchantView>, StoreError> {
    let rows = sqlx::query_as!(
        MerchantRow,
        r#"SELECT id, name, autopatch_opt_out, maintenance_window, created_at AS "created_at: SqlTimestamp"
           FROM merchants WHERE ($1::uuid IS NULL OR id = $1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3"#,
        only.map(|only| only.0),
        after.map(|after| after.0),
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(MerchantView::from).collect())
}

/// One merchant, held until the transaction ends; none when there is none.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: MerchantId) -> Result<Option<MerchantView>, StoreError> {
    let row = sqlx::query_as!(
        MerchantRow,
        r#"SELECT id, name, autopatch_opt_out, maintenance_window, created_at AS "created_at: SqlTimestamp"
           FROM merchants WHERE id = $1 FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(MerchantView::from))
}

/// Keeps what a merchant that is held wants of automatic changes.
///
/// # Errors
/// When the database fails.
pub async fn set_wishes(
    tx: &mut Tx,
    id: MerchantId,
    opt_out: bool,
    maintenance_window: Option<&Value>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE merchants SET autopatch_opt_out = $2, maintenance_window = $3 WHERE id = $1",
        id.0,
        opt_out,
        maintenance_window
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
