//! What happened before, here and elsewhere.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    decide::{
        FleetFinding, MAX_CHANGES, MAX_FINDINGS, MAX_PAST, MAX_REMEDIES, PastAttempt, PastOutcome, Peers, Remedy,
        VersionChange, round,
    },
    ids::PluginId,
};
use serde_json::{Map, Value};

use super::Case;
use crate::store::{SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// How far back a plugin's own past goes.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How many of the others are looked at.
const PEERS: i64 = 2000;
/// How many orders that set something are looked at.
const ORDERS: i64 = 50;

fn at_most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Changes of a plugin's version, newest first.
///
/// # Errors
/// When the database fails.
pub async fn version_changes(tx: &mut Tx, plugin_id: PluginId) -> Result<Vec<VersionChange>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT at AS "at: SqlTimestamp", from_version, to_version FROM plugin_version_changes
           WHERE plugin_id = $1 ORDER BY at DESC LIMIT $2"#,
        plugin_id.0,
        at_most(MAX_CHANGES)
    )
    .fetch_all(&mut **tx)
    .await?;
    let change = rows.into_iter().map(|row| VersionChange {
        at: row.at.to_jiff(),
        from: row.from_version,
        to: row.to_version,
    });
    Ok(change.collect())
}

/// Versions of a product that do worse than their siblings.
///
/// # Errors
/// When the database fails.
pub async fn fleet(tx: &mut Tx, product: &str) -> Result<Vec<FleetFinding>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT version, platform, confidence, found_at AS "found_at: SqlTimestamp" FROM fleet_findings
           WHERE product = $1 AND ended_at IS NULL ORDER BY confidence DESC, version, platform LIMIT $2"#,
        product,
        at_most(MAX_FINDINGS)
    )
    .fetch_all(&mut **tx)
    .await?;
    let finding = rows.into_iter().map(|row| FleetFinding {
        version: row.version,
        platform: Some(row.platform).filter(|platform| !platform.is_empty()),
        confidence: round(row.confidence),
        since: row.found_at.to_jiff(),
    });
    Ok(finding.collect())
}

/// Keeps what the fleet detector found of a version (`platform` empty: on all). One live finding a version and
/// platform; more evidence makes it surer.
///
/// # Errors
/// When the database fails.
pub async fn put_fleet_finding(
    tx: &mut Tx,
    product: &str,
    version: &str,
    platform: &str,
    confidence: f64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO fleet_findings (product, version, platform, confidence, found_at, last_evidence_at)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (product, version, platform) WHERE ended_at IS NULL
         DO UPDATE SET confidence = greatest(fleet_findings.confidence, EXCLUDED.confidence), last_evidence_at = $5",
        product,
        version,
        platform,
        confidence,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How others with the product and platform are doing; at most 2,000 of them are looked at.
///
/// # Errors
/// When the database fails.
pub async fn peers(tx: &mut Tx, case: &Case, now: Timestamp) -> Result<Option<Peers>, StoreError> {
    let Some(product) = &case.product else {
        return Ok(None);
    };
    let since = now - SignedDuration::from_hours(24);
    let row = sqlx::query!(
        r#"WITH others AS (
             SELECT id, plugin_version = $4 AS same FROM merchant_plugins
             WHERE product = $1 AND cms = $2 AND id <> $3 AND plugin_version <> 'unknown' ORDER BY id LIMIT $7),
           judged AS (
             SELECT same, EXISTS (
               SELECT 1 FROM plugin_incidents incident
               WHERE incident.merchant_plugin_id = others.id AND incident.incident_type = $5
                 AND incident.detected_at >= $6) AS ill
             FROM others)
           SELECT count(*) FILTER (WHERE same) AS "same!", count(*) FILTER (WHERE same AND ill) AS "same_ill!",
             count(*) FILTER (WHERE NOT same) AS "other!", count(*) FILTER (WHERE NOT same AND ill) AS "other_ill!"
           FROM judged"#,
        product,
        case.platform,
        case.plugin_id.0,
        case.current_version,
        case.incident_type.as_str(),
        since.to_sqlx() as _,
        PEERS
    )
    .fetch_one(&mut **tx)
    .await?;
    let count = |n: i64| u32::try_from(n).unwrap_or(0);
    Ok(Some(Peers {
        same_version: count(row.same),
        same_version_ill: count(row.same_ill),
        other_versions: count(row.other),
        other_versions_ill: count(row.other_ill),
    }))
}

/// Cures that were tried on a plugin, newest first.
///
/// # Errors
/// When the database fails.
pub async fn attempts(tx: &mut Tx, plugin_id: PluginId, now: Timestamp) -> Result<Vec<PastAttempt>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT method, from_version, to_version, status, config, coalesce(executed_at, updated_at)
             AS "at!: SqlTimestamp"
           FROM plugin_autopatch_attempts
           WHERE merchant_plugin_id = $1 AND status IN ('success', 'failed', 'rolled_back') AND created_at >= $2
             -- An order that never reached the plugin says nothing of the cure.
             AND ((production_result IS NOT NULL OR status IN ('success', 'rolled_back')
              OR coalesce(end_reason, '') IN ('unhealthy', 'worse', 'not_in_force', 'unknown', 'not_heard'))
                  OR (staging_result ->> 'passed') = 'false')
           ORDER BY created_at DESC, id LIMIT $3"#,
        plugin_id.0,
        (now - LOOK_BACK).to_sqlx() as _,
        at_most(MAX_PAST)
    )
    .fetch_all(&mut **tx)
    .await?;
    let past = rows.into_iter().filter_map(|row| {
        Some(PastAttempt {
            method: row.method.parse().ok()?,
            from: row.from_version,
            to: row.to_version,
            remedy: row.config.as_ref().and_then(Value::as_object).map(Remedy::name_of),
            outcome: match row.status.as_str() {
                "success" => PastOutcome::Success,
                "rolled_back" => PastOutcome::RolledBack,
                _ => PastOutcome::Failed,
            },
            at: row.at.to_jiff(),
        })
    });
    Ok(past.collect())
}

/// Settings that were tried elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct TriedRemedy {
    /// The name.
    pub id: String,
    /// What was set.
    pub settings: Map<String, Value>,
}

/// Settings that helped others with the product against this type of incident, the best first.
///
/// # Errors
/// When the database fails.
pub async fn learned_remedies(tx: &mut Tx, product: &str, incident_type: &str) -> Result<Vec<TriedRemedy>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, settings FROM sira_remedies
         WHERE product = $1 AND incident_type = $2 AND successes > failures
         ORDER BY successes - failures DESC, id LIMIT $3",
        product,
        incident_type,
        at_most(MAX_REMEDIES / 2)
    )
    .fetch_all(&mut **tx)
    .await?;
    let remedy = rows.into_iter().filter_map(|row| match row.settings {
        Value::Object(settings) => Some(TriedRemedy { id: row.id, settings }),
        _ => None,
    });
    Ok(remedy.collect())
}

/// What the settings of a plugin were last set to from afar.
///
/// # Errors
/// When the database fails.
pub async fn managed_settings(tx: &mut Tx, plugin_id: PluginId) -> Result<Map<String, Value>, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT command_payload -> 'config' AS "config?" FROM plugin_agent_commands
           WHERE merchant_plugin_id = $1 AND command_type = 'config_update' AND status = 'completed'
           ORDER BY completed_at DESC LIMIT $2"#,
        plugin_id.0,
        ORDERS
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut settings = Map::new();
    // The newest come first, and count.
    for config in rows.into_iter().flatten() {
        let Value::Object(config) = config else { continue };
        for (name, value) in config {
            settings.entry(name).or_insert(value);
        }
    }
    Ok(settings)
}
