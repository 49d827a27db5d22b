//! Work on incidents, claimed by lease.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    super::{Db, StoreError, ToSqlx as _, Tx, lease},
    Held,
};

/// A claim on one incident.
pub type Lease = lease::Lease<Uuid>;

/// Claims at most `limit` incidents that are due; those that others have are left to them.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &Db, token: Uuid, now: Timestamp, limit: i64) -> Result<Vec<Lease>, StoreError> {
    let ids = sqlx::query_scalar!(
        "UPDATE plugin_incidents SET lease_until = $2, lease_by = $3, updated_at = updated_at
         WHERE id IN (
           SELECT id FROM plugin_incidents
           WHERE status <> 'closed' AND duplicate_of IS NULL AND next_look_at <= $1
             AND (lease_until IS NULL OR lease_until <= $1)
           ORDER BY next_look_at LIMIT $4 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        now.to_sqlx() as _,
        lease::until(now).to_sqlx() as _,
        token,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    Ok(ids.into_iter().map(|id| Lease { id, token }).collect())
}

impl Lease {
    /// Holds the incident until the transaction ends, if the claim still stands.
    ///
    /// # Errors
    /// When the database fails or the row can not be read.
    pub async fn lock(&self, tx: &mut Tx) -> Result<Option<Held>, StoreError> {
        super::lock_if(tx, self.id, Some(self.token)).await
    }
}
