//! Between the columns of a row and an incident.

use uuid::Uuid;

use super::super::{SqlTimestamp, StoreError};
use crate::domain::incident::Incident;

/// The columns that make an incident.
pub struct IncidentRow {
    pub id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub incident_type: String,
    pub severity: String,
    pub status: String,
    pub status_since: SqlTimestamp,
    pub detected_at: SqlTimestamp,
}

impl TryFrom<IncidentRow> for Incident {
    type Error = StoreError;

    fn try_from(row: IncidentRow) -> Result<Self, StoreError> {
        let corrupt = |what| move |error: Box<dyn std::error::Error + Send + Sync>| StoreError::corrupt(what, error);
        Ok(Self {
            id: row.id,
            plugin_id: row.merchant_plugin_id.into(),
            incident_type: row
                .incident_type
                .parse()
                .map_err(|e: plugmend_shared::detect::UnknownName| corrupt("incident's type")(e.into()))?,
            severity: row
                .severity
                .parse()
                .map_err(|e: plugmend_shared::detect::UnknownName| corrupt("incident's severity")(e.into()))?,
            status: row
                .status
                .parse()
                .map_err(|e: crate::domain::status::Unknown| corrupt("incident's status")(e.into()))?,
            status_since: row.status_since.to_jiff(),
            detected_at: row.detected_at.to_jiff(),
        })
    }
}
