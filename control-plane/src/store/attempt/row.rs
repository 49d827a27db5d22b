//! Between the columns of a row and an attempt.

use plugmend_shared::ids::{AttemptId, CommandId, Digest};
use serde_json::Value;
use uuid::Uuid;

use super::super::{SqlTimestamp, StoreError, Tx};
use crate::domain::attempt::{Attempt, Origin};

/// Which attempt.
pub enum Which {
    /// By its id.
    Id(AttemptId),
    /// By its id, while the claim with that token stands.
    Claimed(AttemptId, Uuid),
    /// That which is on its way for an incident.
    LiveOf(Uuid),
}

/// The columns that make an attempt.
pub struct AttemptRow {
    pub id: Uuid,
    pub incident_id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub from_version: String,
    pub to_version: Option<String>,
    pub method: String,
    pub status: String,
    pub origin: String,
    pub product: Option<String>,
    pub release_digest: Option<Vec<u8>>,
    pub config: Option<Value>,
    pub confidence: Option<f64>,
    pub impact: Option<String>,
    pub requires_approval: bool,
    pub approved_by: Value,
    pub staged: Option<bool>,
    pub staging_tries: i32,
    pub command_id: Option<Uuid>,
    pub order_ended_at: Option<SqlTimestamp>,
    pub status_since: SqlTimestamp,
    pub deadline_at: SqlTimestamp,
}

/// Reads one that is ours to drive, held until the transaction ends.
pub async fn fetch(tx: &mut Tx, which: Which) -> Result<Option<Attempt>, StoreError> {
    let (id, token, incident_id) = match which {
        Which::Id(id) => (Some(id.0), None, None),
        Which::Claimed(id, token) => (Some(id.0), Some(token), None),
        Which::LiveOf(incident_id) => (None, None, Some(incident_id)),
    };
    let row = sqlx::query_as!(
        AttemptRow,
        r#"SELECT id, incident_id AS "incident_id!", merchant_plugin_id, from_version, to_version, method, status,
             origin AS "origin!", product, release_digest, config, confidence, impact, requires_approval, approved_by,
             (staging_result ->> 'passed')::boolean AS staged, staging_tries, command_id,
             order_ended_at AS "order_ended_at: SqlTimestamp",
             coalesce(status_since, updated_at) AS "status_since!: SqlTimestamp",
             coalesce(deadline_at, created_at + interval '1 day') AS "deadline_at!: SqlTimestamp"
           FROM plugin_autopatch_attempts
           WHERE origin IS NOT NULL AND incident_id IS NOT NULL
             AND (id = $1 OR incident_id = $2 AND status IN ('pending', 'staging', 'applying'))
             AND ($3::uuid IS NULL OR lease_by = $3)
           FOR UPDATE"#,
        id,
        incident_id,
        token
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Attempt::try_from).transpose()
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let digest = row.release_digest.map(<[u8; 32]>::try_from).transpose();
        Ok(Self {
            id: AttemptId(row.id),
            incident_id: row.incident_id,
            plugin_id: row.merchant_plugin_id.into(),
            status: row
                .status
                .parse()
                .map_err(|e: crate::domain::status::Unknown| StoreError::corrupt("attempt's status", e))?,
            origin: if row.origin == "person" {
                Origin::Person
            } else {
                Origin::Automatic
            },
            method: row
                .method
                .parse()
                .map_err(|_| StoreError::corrupt("attempt's method", "unknown word"))?,
            from_version: row.from_version,
            to_version: row
                .to_version
                .map(|version| version.parse())
                .transpose()
                .map_err(|e: semver::Error| StoreError::corrupt("attempt's version", e))?,
            product: row.product.and_then(|product| product.parse().ok()),
            release_digest: digest
                .map_err(|_| StoreError::corrupt("attempt's digest", "not 32 bytes"))?
                .map(Digest),
            config: row.config.and_then(|config| match config {
                Value::Object(map) => Some(map),
                _ => None,
            }),
            // What is not known is not sure enough.
            confidence: row.confidence.unwrap_or(0.0),
            impact: row
                .impact
                .and_then(|impact| serde_json::from_value(Value::String(impact)).ok()),
            requires_approval: row.requires_approval,
            // One that can not be read counts for nothing.
            approvals: row
                .approved_by
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|approval| serde_json::from_value(approval.clone()).ok())
                .collect(),
            staged: row.staged,
            staging_tries: u32::try_from(row.staging_tries).unwrap_or(0),
            command_id: row.command_id.map(CommandId),
            order_ended_at: row.order_ended_at.map(SqlTimestamp::to_jiff),
            status_since: row.status_since.to_jiff(),
            deadline_at: row.deadline_at.to_jiff(),
        })
    }
}
