//! Work on attempts, claimed by lease.

use jiff::Timestamp;
use plugmend_shared::ids::AttemptId;
use uuid::Uuid;

use super::{
    super::{Db, StoreError, ToSqlx as _, Tx, lease},
    row,
};
use crate::domain::attempt::Attempt;

/// A claim on one attempt.
pub type Lease = lease::Lease<AttemptId>;

/// Claims at most `limit` attempts whose order has ended, and as many that are due; those that others have are left to
/// them. What has ended goes first: it makes room for those that wait.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &Db, token: Uuid, now: Timestamp, limit: i64) -> Result<Vec<Lease>, StoreError> {
    let ids = sqlx::query_scalar!(
        "WITH ended AS (
           SELECT attempt.id FROM plugin_autopatch_attempts attempt
           JOIN plugin_agent_commands command ON command.id = attempt.command_id
           WHERE attempt.status = 'applying' AND attempt.origin IS NOT NULL AND attempt.order_ended_at IS NULL
             AND command.status IN ('completed', 'failed', 'timeout')
             AND (attempt.lease_until IS NULL OR attempt.lease_until <= $1)
           LIMIT $4 FOR UPDATE OF attempt SKIP LOCKED),
         due AS (
           SELECT id FROM plugin_autopatch_attempts
           WHERE status IN ('pending', 'staging', 'applying') AND origin IS NOT NULL AND next_look_at <= $1
             AND (lease_until IS NULL OR lease_until <= $1)
           ORDER BY next_look_at LIMIT $4 FOR UPDATE SKIP LOCKED)
         UPDATE plugin_autopatch_attempts SET lease_until = $2, lease_by = $3, updated_at = updated_at
         WHERE id IN (SELECT id FROM ended UNION SELECT id FROM due)
         RETURNING id",
        now.to_sqlx() as _,
        lease::until(now).to_sqlx() as _,
        token,
        limit
    )
    .fetch_all(db.pool())
    .await?;
    let lease = |id| Lease {
        id: AttemptId(id),
        token,
    };
    Ok(ids.into_iter().map(lease).collect())
}

impl Lease {
    /// Holds the attempt until the transaction ends, if the claim still stands.
    ///
    /// # Errors
    /// When the database fails or the row can not be read.
    pub async fn lock(&self, tx: &mut Tx) -> Result<Option<Attempt>, StoreError> {
        row::fetch(tx, row::Which::Claimed(self.id, self.token)).await
    }

    /// Keeps the claim on an attempt that is held and was moved; from now on it lasts as long as a new one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep(&self, tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE plugin_autopatch_attempts SET lease_until = $3, lease_by = $2, updated_at = updated_at
             WHERE id = $1",
            self.id.0,
            self.token,
            lease::until(now).to_sqlx() as _
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Says that whoever has the claim is still at it; a claim that was lost stays lost.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(&self, db: &Db, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE plugin_autopatch_attempts SET lease_until = $3, updated_at = updated_at
             WHERE id = $1 AND lease_by = $2",
            self.id.0,
            self.token,
            lease::until(now).to_sqlx() as _
        )
        .execute(db.pool())
        .await?;
        Ok(())
    }
}
