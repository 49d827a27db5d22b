//! One entry of the trail, as it is hashed and as it is exported.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::merkle;
use crate::ids::Digest;

/// An entry. What the database holds as JSON, address or number is here in the database's own spelling, so that nothing
/// is lost or rounded on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// Whose shop it is about.
    pub merchant_id: Option<Uuid>,
    /// Which plugin it is about.
    pub merchant_plugin_id: Option<Uuid>,
    /// Who acted.
    pub actor_id: Option<String>,
    /// `merchant`, `ops`, `sira` or `system`.
    pub actor_type: String,
    /// What was done.
    pub action: String,
    /// What else is worth knowing: JSON text.
    pub details: String,
    /// From where.
    pub ip_address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// When, in microseconds since the epoch.
    pub created_at_us: i64,
}

impl AuditEntry {
    /// Its leaf in the tree: the hash of its JSON with the fields in the order above.
    ///
    /// # Errors
    /// Never, for what is made of text and numbers.
    pub fn leaf(&self) -> Result<Digest, serde_json::Error> {
        Ok(merkle::leaf(&serde_json::to_vec(self)?))
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.created_at_us).unwrap_or_default()
    }
}

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExportedEntry {
    /// Its place in the tree, from 0; none while it waits for one.
    pub seq: Option<u64>,
    /// The leaf that was written down when it got its place.
    pub leaf: Option<Digest>,
    /// The entry; none when the database has lost it.
    pub entry: Option<AuditEntry>,
}
