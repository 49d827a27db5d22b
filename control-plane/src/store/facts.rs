//! What a decision may rest on, gathered from where it is kept. A few bounded statements an incident.

mod experience;
mod history;

use jiff::Timestamp;
use plugmend_shared::{
    bundle::{
        manifest::{Compatibility, Impact, SettingsSpec, Undo},
        remedy::DeclaredRemedy,
    },
    decide::{KnownRelease, MAX_RELEASES, Standing},
    detect::{IncidentType, Severity},
    ids::{Digest, MerchantId, PluginId},
};
use serde_json::Value;
use uuid::Uuid;

use super::{SqlTimestamp, StoreError, Tx};

pub use experience::experience;
pub use history::{
    TriedRemedy, attempts, fleet, learned_remedies, managed_settings, peers, put_fleet_finding, version_changes,
};

/// An incident with its plugin.
#[derive(Debug, Clone)]
pub struct Case {
    /// `plugin_incidents.id`.
    pub incident_id: Uuid,
    /// What is wrong.
    pub incident_type: IncidentType,
    /// How bad.
    pub severity: Severity,
    /// The telemetry that showed it.
    pub telemetry: Value,
    /// When it was detected.
    pub detected_at: Timestamp,
    /// When it began, as far as is known.
    pub began_at: Option<Timestamp>,
    /// That it is real, 0 to 1.
    pub confidence_real: Option<f64>,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// What is installed.
    pub product: Option<String>,
    /// The platform.
    pub platform: String,
    /// The version that runs.
    pub current_version: String,
    /// Whether an agent looks after it.
    pub agent_managed: bool,
    /// What it can carry out without one.
    pub capabilities: Vec<String>,
    /// Its last heartbeat.
    pub last_report: Value,
}

/// An incident with its plugin; `None` when there is no such incident.
///
/// # Errors
/// When the database fails, or what is stored can not be read.
pub async fn case(tx: &mut Tx, incident_id: Uuid) -> Result<Option<Case>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT incident.incident_type, incident.severity, incident.telemetry_snapshot,
             incident.detected_at AS "detected_at: SqlTimestamp", incident.began_at AS "began_at: SqlTimestamp",
             incident.confidence, plugin.id, plugin.merchant_id, plugin.product, plugin.cms, plugin.plugin_version,
             plugin.agent_managed, plugin.capabilities, plugin.telemetry AS "telemetry?"
           FROM plugin_incidents incident JOIN merchant_plugins plugin ON plugin.id = incident.merchant_plugin_id
           WHERE incident.id = $1"#,
        incident_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        let unreadable = |error| StoreError::corrupt("incident", error);
        Ok(Case {
            incident_id,
            incident_type: row.incident_type.parse().map_err(unreadable)?,
            severity: row.severity.parse().map_err(unreadable)?,
            telemetry: row.telemetry_snapshot,
            detected_at: row.detected_at.to_jiff(),
            began_at: row.began_at.map(SqlTimestamp::to_jiff),
            confidence_real: row.confidence,
            merchant_id: row.merchant_id.into(),
            plugin_id: row.id.into(),
            product: row.product,
            platform: row.cms,
            current_version: row.plugin_version,
            agent_managed: row.agent_managed,
            capabilities: row.capabilities,
            last_report: row.telemetry.unwrap_or(Value::Null),
        })
    })
    .transpose()
}

/// A release with what may be set from afar under it.
#[derive(Debug, Clone)]
pub struct ReleaseFacts {
    /// What deciders are told.
    pub known: KnownRelease,
    /// The settings that its manifest declares.
    pub settings: Option<SettingsSpec>,
    /// Settings that its manifest names as remedies.
    pub remedies: Vec<DeclaredRemedy>,
}

/// The newest releases of a product, with how they stand for one plugin. A manifest that can not be read makes its
/// release no candidate; it stops nobody from deciding.
///
/// # Errors
/// When the database fails.
pub async fn releases(tx: &mut Tx, product: &str, plugin_id: PluginId) -> Result<Vec<ReleaseFacts>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT version, digest, impact, fixes, undo, manifest -> 'compat' AS compat,
             manifest -> 'settings' AS settings, manifest -> 'remedies' AS remedies, revoked_at IS NOT NULL AS "revoked!",
             blocked_at IS NOT NULL AS "blocked!", withdrawn_at IS NOT NULL AS "withdrawn!",
             EXISTS (SELECT 1 FROM release_quarantines quarantine
                     WHERE quarantine.release_digest = releases.digest AND quarantine.lifted_at IS NULL
                       AND (quarantine.plugin_id IS NULL OR quarantine.plugin_id = $2)) AS "quarantined!"
           FROM releases WHERE product = $1 ORDER BY published_at DESC, version DESC LIMIT $3"#,
        product,
        plugin_id.0,
        i64::try_from(MAX_RELEASES).unwrap_or(i64::MAX)
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let standing = match (row.withdrawn, row.revoked, row.blocked, row.quarantined) {
            (true, ..) => Standing::Withdrawn,
            (_, true, ..) => Standing::Revoked,
            (_, _, true, _) => Standing::Blocked,
            (.., true) => Standing::Quarantined,
            _ => Standing::Offered,
        };
        let digest: [u8; 32] = row
            .digest
            .as_slice()
            .try_into()
            .map_err(|e| StoreError::corrupt("digest of a release", e))?;
        let Ok(version) = semver::Version::parse(&row.version) else {
            continue;
        };
        let Some(compat) = read_or_default::<Compatibility>(row.compat) else {
            continue;
        };
        out.push(ReleaseFacts {
            known: KnownRelease {
                version,
                digest: Digest(digest),
                standing,
                impact: match row.impact.as_str() {
                    "low" => Impact::Low,
                    "medium" => Impact::Medium,
                    _ => Impact::High,
                },
                fixes: row.fixes,
                compat,
                undo: match row.undo.as_str() {
                    "code_only" => Undo::CodeOnly,
                    _ => Undo::NeedsSnapshot,
                },
            },
            settings: row.settings.and_then(|value| serde_json::from_value(value).ok()),
            remedies: read_or_default(row.remedies).unwrap_or_default(),
        });
    }
    Ok(out)
}

/// What is absent is as the default says; what is there and can not be read is `None`.
fn read_or_default<T: Default + serde::de::DeserializeOwned>(value: Option<Value>) -> Option<T> {
    match value {
        None | Some(Value::Null) => Some(T::default()),
        Some(value) => serde_json::from_value(value).ok(),
    }
}
