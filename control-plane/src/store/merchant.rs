//! Merchants.

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;

use super::{StoreError, ToSqlx as _, Tx};

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
