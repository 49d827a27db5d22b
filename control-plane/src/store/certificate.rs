//! Certificates of agents (`agent_certificates`).

use jiff::Timestamp;
use plugmend_shared::ids::{Digest, PluginId};

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx, agent::read_sightings};
use crate::domain::identity::{AgentIdentity, AgentState, CertificateState, Sightings};

/// A certificate to be stored, or one that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the certificate (DER).
    pub fingerprint: Digest,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Whose agent.
    pub plugin_id: PluginId,
    /// Renewals behind it.
    pub renewals: u64,
    /// SHA-256 of its public key.
    pub key: Digest,
    /// The certificate.
    pub pem: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// When the next one should be asked for.
    pub renew_after: Timestamp,
    /// Why it was revoked, when it was.
    pub revoked: Option<String>,
}

/// What a request's standing is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Who it is.
    pub identity: AgentIdentity,
    /// Its certificate.
    pub certificate: CertificateState,
    /// The agent.
    pub agent: AgentState,
    /// What has been seen of it.
    pub sightings: Sightings,
}

struct CertificateRow {
    fingerprint: Vec<u8>,
    serial: String,
    plugin_id: uuid::Uuid,
    renewals: i64,
    key_sha256: Vec<u8>,
    certificate_pem: String,
    issued_at: SqlTimestamp,
    not_after: SqlTimestamp,
    renew_after: SqlTimestamp,
    revoked_at: Option<SqlTimestamp>,
    revoked_reason: Option<String>,
}

impl TryFrom<CertificateRow> for Certificate {
    type Error = StoreError;

    fn try_from(row: CertificateRow) -> Result<Self, StoreError> {
        Ok(Self {
            fingerprint: digest(&row.fingerprint)?,
            serial: row.serial,
            plugin_id: row.plugin_id.into(),
            renewals: count(row.renewals)?,
            key: digest(&row.key_sha256)?,
            pem: row.certificate_pem,
            issued_at: row.issued_at.to_jiff(),
            not_after: row.not_after.to_jiff(),
            renew_after: row.renew_after.to_jiff(),
            revoked: row.revoked_at.map(|_| row.revoked_reason.unwrap_or_default()),
        })
    }
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    let bytes = bytes.try_into().map_err(|error| StoreError::corrupt("digest", error))?;
    Ok(Digest(bytes))
}

fn count(renewals: i64) -> Result<u64, StoreError> {
    u64::try_from(renewals).map_err(|error| StoreError::corrupt("count of renewals", error))
}

fn sql_count(renewals: u64) -> i64 {
    i64::try_from(renewals).unwrap_or(i64::MAX)
}

/// Stores a certificate.
///
/// # Errors
/// [`StoreError::Conflict`] when its place in the line is taken.
pub async fn insert(tx: &mut Tx, certificate: &Certificate) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO agent_certificates
           (fingerprint, serial, plugin_id, renewals, key_sha256, certificate_pem, issued_at, not_after, renew_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &certificate.fingerprint.0[..],
        certificate.serial,
        certificate.plugin_id.0,
        sql_count(certificate.renewals),
        &certificate.key.0[..],
        certificate.pem,
        certificate.issued_at.to_sqlx() as _,
        certificate.not_after.to_sqlx() as _,
        certificate.renew_after.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who shows this certificate; `None` when it is not one of ours.
///
/// # Errors
/// When the database fails.
pub async fn bearer(db: &Db, fingerprint: &Digest) -> Result<Option<Bearer>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT c.serial, c.renewals, c.not_after AS "not_after: SqlTimestamp",
             c.revoked_at AS "certificate_revoked_at: SqlTimestamp", c.revoked_reason AS certificate_reason,
             a.plugin_id, a.merchant_id, a.sightings, a.revoked_at AS "agent_revoked_at: SqlTimestamp",
             a.revoked_reason AS agent_reason, a.fenced_at AS "fenced_at: SqlTimestamp"
           FROM agent_certificates c JOIN agents a ON a.plugin_id = c.plugin_id
           WHERE c.fingerprint = $1"#,
        &fingerprint.0[..]
    )
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let revoked = |at: Option<SqlTimestamp>, why: Option<String>| at.map(|_| why.unwrap_or_default());
    Ok(Some(Bearer {
        identity: AgentIdentity {
            merchant_id: row.merchant_id.into(),
            plugin_id: row.plugin_id.into(),
            serial: row.serial,
            renewals: count(row.renewals)?,
        },
        certificate: CertificateState {
            not_after: row.not_after.to_jiff(),
            revoked: revoked(row.certificate_revoked_at, row.certificate_reason),
        },
        agent: AgentState {
            revoked: revoked(row.agent_revoked_at, row.agent_reason),
            fenced_at: row.fenced_at.map(SqlTimestamp::to_jiff),
        },
        sightings: read_sightings(row.sightings)?,
    }))
}

/// Whether an agent that is held has a certificate of this serial number that was not revoked.
///
/// # Errors
/// When the database fails.
pub async fn is_good(tx: &mut Tx, plugin_id: PluginId, serial: &str) -> Result<bool, StoreError> {
    let good = sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT 1 FROM agent_certificates
             WHERE serial = $1 AND plugin_id = $2 AND revoked_at IS NULL) AS "good!""#,
        serial,
        plugin_id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(good)
}

/// Forgets at most `limit` certificates that ended before `before` and are not the newest of their agent; how many.
///
/// # Errors
/// When the database fails.
pub async fn forget_ended(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM agent_certificates WHERE fingerprint IN (
           SELECT old.fingerprint FROM agent_certificates old
           WHERE old.not_after < $1 AND EXISTS (
             SELECT 1 FROM agent_certificates newer
             WHERE newer.plugin_id = old.plugin_id AND newer.issued_at > old.issued_at)
           LIMIT $2)",
        before.to_sqlx() as _,
        limit
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// The newest certificate of an agent that is held, revoked ones aside.
///
/// # Errors
/// When the database fails.
pub async fn newest(tx: &mut Tx, plugin_id: PluginId) -> Result<Option<Certificate>, StoreError> {
    let row = sqlx::query_as!(
        CertificateRow,
        r#"SELECT fingerprint, serial, plugin_id, renewals, key_sha256, certificate_pem,
             issued_at AS "issued_at: SqlTimestamp", not_after AS "not_after: SqlTimestamp",
             renew_after AS "renew_after: SqlTimestamp", revoked_at AS "revoked_at: SqlTimestamp", revoked_reason
           FROM agent_certificates WHERE plugin_id = $1 AND revoked_at IS NULL
           ORDER BY renewals DESC LIMIT 1"#,
        plugin_id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Certificate::try_from).transpose()
}

/// The last certificates of an agent, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, plugin_id: PluginId, limit: u8) -> Result<Vec<Certificate>, StoreError> {
    let rows = sqlx::query_as!(
        CertificateRow,
        r#"SELECT fingerprint, serial, plugin_id, renewals, key_sha256, certificate_pem,
             issued_at AS "issued_at: SqlTimestamp", not_after AS "not_after: SqlTimestamp",
             renew_after AS "renew_after: SqlTimestamp", revoked_at AS "revoked_at: SqlTimestamp", revoked_reason
           FROM agent_certificates WHERE plugin_id = $1 ORDER BY issued_at DESC, renewals DESC LIMIT $2"#,
        plugin_id.0,
        i64::from(limit)
    )
    .fetch_all(db.pool())
    .await?;
    rows.into_iter().map(Certificate::try_from).collect()
}

/// Revokes every certificate of an agent that is held.
///
/// # Errors
/// When the database fails.
pub async fn revoke_all(tx: &mut Tx, plugin_id: PluginId, reason: &str, now: Timestamp) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE agent_certificates SET revoked_at = $2, revoked_reason = $3
         WHERE plugin_id = $1 AND revoked_at IS NULL",
        plugin_id.0,
        now.to_sqlx() as _,
        reason
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
