//! What people leaf through. The statements lie beside this file, one for all combinations of filters; a test asks the database
//! how it would carry them out.

mod agents;
mod attempts;
mod audit;
mod commands;
mod incidents;
mod plugins;
mod search;

pub use agents::{AgentFilter, AgentSummary, CertificateFilter, CertificateSummary, agents, certificates};
pub use attempts::{AttemptFilter, attempts};
pub use audit::{AuditFilter, AuditRow, audit};
pub use commands::{CommandFilter, commands};
pub use incidents::{IncidentFilter, incidents};
pub use plugins::{PluginFilter, PluginSummary, plugins};
pub use search::{MAX_TEXT, Meant, meant};

use crate::domain::page::Cursor;

/// A cursor as two parameters.
fn place(after: Option<Cursor>) -> (Option<super::SqlTimestamp>, Option<uuid::Uuid>) {
    after
        .map(|cursor| (super::ToSqlx::to_sqlx(cursor.at), cursor.id))
        .unzip()
}
