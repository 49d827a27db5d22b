//! Agents (`agents`): one a plugin, whatever certificates it has had.

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId, Product};
use serde_json::Value;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::identity::{AgentState, Evidence, Sightings};

/// An agent to be stored.
#[derive(Debug, Clone)]
pub struct NewAgent<'a> {
    /// Which plugin it looks after.
    pub plugin_id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// What that is.
    pub product: &'a Product,
    /// The agent's own version.
    pub agent_version: &'a str,
    /// From where it was enrolled.
    pub address: &'a str,
}

/// An agent as people see it.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Which plugin it looks after.
    pub plugin_id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// What that is.
    pub product: String,
    /// The agent's version when it was enrolled.
    pub agent_version: String,
    /// When that was.
    pub enrolled_at: Timestamp,
    /// From where.
    pub enrolled_from: String,
    /// What has been seen of it.
    pub sightings: Sightings,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub revoked_reason: Option<String>,
    /// By whom.
    pub revoked_by: Option<String>,
    /// When it was fenced.
    pub fenced_at: Option<Timestamp>,
    /// Why.
    pub fence_evidence: Option<Value>,
}

impl Agent {
    /// What its standing depends on.
    pub fn state(&self) -> AgentState {
        let revoked = self.revoked_at.map(|_| self.revoked_reason.clone().unwrap_or_default());
        AgentState {
            revoked,
            fenced_at: self.fenced_at,
        }
    }
}

struct AgentRow {
    plugin_id: uuid::Uuid,
    merchant_id: uuid::Uuid,
    product: String,
    agent_version: String,
    enrolled_at: SqlTimestamp,
    enrolled_from: String,
    sightings: Value,
    revoked_at: Option<SqlTimestamp>,
    revoked_reason: Option<String>,
    revoked_by: Option<String>,
    fenced_at: Option<SqlTimestamp>,
    fence_evidence: Option<Value>,
}

impl TryFrom<AgentRow> for Agent {
    type Error = StoreError;

    fn try_from(row: AgentRow) -> Result<Self, StoreError> {
        Ok(Self {
            plugin_id: row.plugin_id.into(),
            merchant_id: row.merchant_id.into(),
            product: row.product,
            agent_version: row.agent_version,
            enrolled_at: row.enrolled_at.to_jiff(),
            enrolled_from: row.enrolled_from,
            sightings: read_sightings(row.sightings)?,
            revoked_at: row.revoked_at.map(SqlTimestamp::to_jiff),
            revoked_reason: row.revoked_reason,
            revoked_by: row.revoked_by,
            fenced_at: row.fenced_at.map(SqlTimestamp::to_jiff),
            fence_evidence: row.fence_evidence,
        })
    }
}

/// Sightings as they are stored.
pub(super) fn read_sightings(value: Value) -> Result<Sightings, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt("sighting of an agent", error))
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::corrupt("sighting of an agent", error))
}

/// Stores an agent, or starts one anew: what was seen of it, its fence and its revocation end.
///
/// # Errors
/// When the database fails.
pub async fn enrol(tx: &mut Tx, agent: &NewAgent<'_>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO agents (plugin_id, merchant_id, product, agent_version, enrolled_at, enrolled_from)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (plugin_id) DO UPDATE SET
           product = excluded.product, agent_version = excluded.agent_version, enrolled_at = excluded.enrolled_at,
           enrolled_from = excluded.enrolled_from, sightings = '{}', revoked_at = NULL, revoked_reason = NULL,
           revoked_by = NULL, fenced_at = NULL, fence_evidence = NULL",
        agent.plugin_id.0,
        agent.merchant_id.0,
        agent.product.as_str(),
        agent.agent_version,
        now.to_sqlx() as _,
        agent.address,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One agent, held until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: PluginId) -> Result<Option<Agent>, StoreError> {
    let row = sqlx::query_as!(
        AgentRow,
        r#"SELECT plugin_id, merchant_id, product, agent_version, enrolled_at AS "enrolled_at: SqlTimestamp",
             enrolled_from, sightings, revoked_at AS "revoked_at: SqlTimestamp", revoked_reason, revoked_by,
             fenced_at AS "fenced_at: SqlTimestamp", fence_evidence
           FROM agents WHERE plugin_id = $1 FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Agent::try_from).transpose()
}

/// One agent.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &Db, id: PluginId) -> Result<Option<Agent>, StoreError> {
    let row = sqlx::query_as!(
        AgentRow,
        r#"SELECT plugin_id, merchant_id, product, agent_version, enrolled_at AS "enrolled_at: SqlTimestamp",
             enrolled_from, sightings, revoked_at AS "revoked_at: SqlTimestamp", revoked_reason, revoked_by,
             fenced_at AS "fenced_at: SqlTimestamp", fence_evidence
           FROM agents WHERE plugin_id = $1"#,
        id.0
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(Agent::try_from).transpose()
}

/// Remembers what was seen of an agent that is held.
///
/// # Errors
/// When the database fails.
pub async fn remember(tx: &mut Tx, id: PluginId, sightings: &Sightings) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE agents SET sightings = $2 WHERE plugin_id = $1",
        id.0,
        to_json(sightings)?
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Fences an agent; the first evidence stays. False when it was fenced already.
///
/// # Errors
/// When the database fails.
pub async fn fence(tx: &mut Tx, id: PluginId, evidence: &Evidence, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE agents SET fenced_at = $2, fence_evidence = $3 WHERE plugin_id = $1 AND fenced_at IS NULL",
        id.0,
        now.to_sqlx() as _,
        to_json(evidence)?
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Revokes an agent; the first reason stays. False when there is no such agent or it was revoked already.
///
/// # Errors
/// When the database fails.
pub async fn revoke(tx: &mut Tx, id: PluginId, reason: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE agents SET revoked_at = $2, revoked_reason = $3, revoked_by = $4
         WHERE plugin_id = $1 AND revoked_at IS NULL",
        id.0,
        now.to_sqlx() as _,
        reason,
        by
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
