//! How deciders stand and what was learned (`sira_models`, `sira_tallies`, `sira_release_seeds`, `sira_remedies`).

use jiff::Timestamp;
use plugmend_shared::decide::Tally;
use serde_json::{Map, Value};

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::learning::SeedChange;

/// How a decider stands.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ModelRow {
    /// `external` or `built_in`.
    pub source: String,
    /// How much was learned; of the built-in model only.
    pub epoch: i64,
    /// Since when the rules decide in its stead.
    pub demoted_at: Option<Timestamp>,
    /// Why.
    pub demoted_because: Option<Value>,
    /// Outcomes from before do not count against it.
    pub judged_since: Timestamp,
}

/// Whether outcomes are learned from (`ops_policy.sira_learning_enabled`).
///
/// # Errors
/// When the database fails.
pub async fn learning_enabled(tx: &mut Tx) -> Result<bool, StoreError> {
    let enabled = sqlx::query_scalar!("SELECT sira_learning_enabled FROM ops_policy WHERE id = 1")
        .fetch_optional(&mut **tx)
        .await?;
    Ok(enabled.unwrap_or(false))
}

/// How the deciders stand, held until the transaction ends: one learner at a time among all replicas.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx) -> Result<Vec<ModelRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT source, epoch, demoted_at AS "demoted_at: SqlTimestamp", demoted_because,
             judged_since AS "judged_since: SqlTimestamp"
           FROM sira_models ORDER BY source FOR UPDATE"#
    )
    .fetch_all(&mut **tx)
    .await?;
    let model = rows.into_iter().map(|row| ModelRow {
        source: row.source,
        epoch: row.epoch,
        demoted_at: row.demoted_at.map(SqlTimestamp::to_jiff),
        demoted_because: row.demoted_because,
        judged_since: row.judged_since.to_jiff(),
    });
    Ok(model.collect())
}

/// How the deciders stand.
///
/// # Errors
/// When the database fails.
pub async fn all(tx: &mut Tx) -> Result<Vec<ModelRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT source, epoch, demoted_at AS "demoted_at: SqlTimestamp", demoted_because,
             judged_since AS "judged_since: SqlTimestamp"
           FROM sira_models ORDER BY source"#
    )
    .fetch_all(&mut **tx)
    .await?;
    let model = rows.into_iter().map(|row| ModelRow {
        source: row.source,
        epoch: row.epoch,
        demoted_at: row.demoted_at.map(SqlTimestamp::to_jiff),
        demoted_because: row.demoted_because,
        judged_since: row.judged_since.to_jiff(),
    });
    Ok(model.collect())
}

/// One more thing was learned; how many now.
///
/// # Errors
/// When the database fails.
pub async fn next_epoch(tx: &mut Tx) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar!("UPDATE sira_models SET epoch = epoch + 1 WHERE source = 'built_in' RETURNING epoch")
            .fetch_one(&mut **tx)
            .await?,
    )
}

/// Adds to a tally.
///
/// # Errors
/// When the database fails.
pub async fn add(tx: &mut Tx, product: &str, change: &Tally, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sira_tallies
           (arm, incident_type, product, from_version, to_version, successes, failures, updated_at)
         VALUES ($1, $2, $3, $4, $5, greatest($6::float8, 0), greatest($7::float8, 0), $8)
         ON CONFLICT (incident_type, product, arm, from_version, to_version)
         DO UPDATE SET successes = greatest(sira_tallies.successes + $6, 0),
                       failures = greatest(sira_tallies.failures + $7, 0), updated_at = $8",
        change.arm.as_str(),
        change.incident_type,
        product,
        change.from,
        change.to,
        change.successes,
        change.failures,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds to what is known of a release.
///
/// # Errors
/// When the database fails.
pub async fn add_seed(tx: &mut Tx, product: &str, version: &str, change: SeedChange) -> Result<(), StoreError> {
    if change == SeedChange::default() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO sira_release_seeds (product, version, staging_passed, staging_failed, kept, reverted)
         VALUES ($1, $2, greatest($3, 0), greatest($4, 0), greatest($5, 0), greatest($6, 0))
         ON CONFLICT (product, version)
         DO UPDATE SET staging_passed = greatest(sira_release_seeds.staging_passed + $3, 0),
                       staging_failed = greatest(sira_release_seeds.staging_failed + $4, 0),
                       kept = greatest(sira_release_seeds.kept + $5, 0),
                       reverted = greatest(sira_release_seeds.reverted + $6, 0)",
        product,
        version,
        change.staging_passed,
        change.staging_failed,
        change.kept,
        change.reverted
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Settings that were tried as a cure.
#[derive(Debug)]
pub struct RemedyTried<'a> {
    /// Of which product.
    pub product: &'a str,
    /// For which type of incident.
    pub incident_type: &'a str,
    /// The name.
    pub id: &'a str,
    /// What was set.
    pub settings: &'a Map<String, Value>,
    /// What is added to its successes.
    pub successes: f64,
    /// What is added to its failures.
    pub failures: f64,
}

/// Remembers settings that were tried as a cure, and how it went.
///
/// # Errors
/// When the database fails.
pub async fn add_remedy(tx: &mut Tx, tried: &RemedyTried<'_>, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO sira_remedies (product, incident_type, id, settings, successes, failures, updated_at)
         VALUES ($1, $2, $3, $4, greatest($5::float8, 0), greatest($6::float8, 0), $7)
         ON CONFLICT (product, incident_type, id)
         DO UPDATE SET successes = greatest(sira_remedies.successes + $5, 0),
                       failures = greatest(sira_remedies.failures + $6, 0), updated_at = $7",
        tried.product,
        tried.incident_type,
        tried.id,
        Value::Object(tried.settings.clone()),
        tried.successes,
        tried.failures,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Lets the rules decide in a decider's stead.
///
/// # Errors
/// When the database fails.
pub async fn demote(tx: &mut Tx, source: &str, because: &Value, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE sira_models SET demoted_at = $2, demoted_because = $3 WHERE source = $1",
        source,
        now.to_sqlx() as _,
        because
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Lets a decider decide again; it is judged by what comes from now on. Whether it was demoted.
///
/// # Errors
/// When the database fails.
pub async fn reinstate(tx: &mut Tx, source: &str, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE sira_models SET demoted_at = NULL, demoted_because = NULL, judged_since = $2
         WHERE source = $1 AND demoted_at IS NOT NULL",
        source,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
