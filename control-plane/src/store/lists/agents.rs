//! Agents by the plugin they look after, and certificates by their end.

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use uuid::Uuid;

use crate::store::{Db, SqlTimestamp, StoreError};

/// Which agents.
#[derive(Debug, Clone, Default)]
pub struct AgentFilter {
    /// Of this merchant.
    pub merchant_id: Option<MerchantId>,
    /// Beside this product.
    pub product: Option<String>,
    /// `active`, `fenced` or `revoked`.
    pub standing: Option<String>,
    /// Behind this one.
    pub after: Option<PluginId>,
    /// At most so many.
    pub limit: i64,
}

/// An agent as lists show it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of agents, as they are")]
pub struct AgentSummary {
    pub plugin_id: Uuid,
    pub merchant_id: Uuid,
    pub product: String,
    pub agent_version: String,
    pub enrolled_at: SqlTimestamp,
    pub revoked_at: Option<SqlTimestamp>,
    pub revoked_reason: Option<String>,
    pub fenced_at: Option<SqlTimestamp>,
    pub last_heartbeat: Option<SqlTimestamp>,
    pub plugin_version: String,
    /// When the last of its certificates ends.
    pub certificate_ends: Option<SqlTimestamp>,
}

/// Agents, by plugin.
///
/// # Errors
/// When the database fails.
pub async fn agents(db: &Db, filter: &AgentFilter) -> Result<Vec<AgentSummary>, StoreError> {
    let found = sqlx::query_file_as!(
        AgentSummary,
        "src/store/lists/agents.sql",
        filter.merchant_id.map(|id| id.0),
        filter.product,
        filter.standing,
        filter.after.map(|id| id.0),
        filter.limit
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(found)
}

/// Which certificates.
#[derive(Debug, Clone, Default)]
pub struct CertificateFilter {
    /// Of this plugin's agent.
    pub plugin_id: Option<PluginId>,
    /// Of this merchant's agents.
    pub merchant_id: Option<MerchantId>,
    /// That end before this moment.
    pub ends_before: Option<Timestamp>,
    /// Behind the one with this end and serial number.
    pub after: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: i64,
}

/// A certificate as lists show it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of agent_certificates, as they are")]
pub struct CertificateSummary {
    pub serial: String,
    pub plugin_id: Uuid,
    pub merchant_id: Uuid,
    pub renewals: i64,
    pub issued_at: SqlTimestamp,
    pub not_after: SqlTimestamp,
    pub renew_after: SqlTimestamp,
    pub revoked_at: Option<SqlTimestamp>,
    pub revoked_reason: Option<String>,
}

/// Certificates, those that end first at the top.
///
/// # Errors
/// When the database fails.
pub async fn certificates(db: &Db, filter: &CertificateFilter) -> Result<Vec<CertificateSummary>, StoreError> {
    let (at, serial) = filter.after.clone().unzip();
    let found = sqlx::query_file_as!(
        CertificateSummary,
        "src/store/lists/certificates.sql",
        filter.plugin_id.map(|id| id.0),
        filter.merchant_id.map(|id| id.0),
        filter.ends_before.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        serial,
        filter.limit
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(found)
}
