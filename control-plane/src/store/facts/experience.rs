//! What was learned, as far as it matters to one question.

use plugmend_shared::decide::{Experience, MAX_RELEASES, MAX_TALLIES, Seed, Tally, round};

use crate::store::{StoreError, Tx};

/// What was learned about this product and type of incident, and in general.
///
/// # Errors
/// When the database fails.
pub async fn experience(tx: &mut Tx, product: &str, incident_type: &str) -> Result<Experience, StoreError> {
    let models =
        sqlx::query!(r#"SELECT source, epoch, demoted_at IS NOT NULL AS "demoted!" FROM sira_models ORDER BY source"#)
            .fetch_all(&mut **tx)
            .await?;
    let mut experience = Experience::default();
    for model in models {
        if model.source == "built_in" {
            experience.epoch = u64::try_from(model.epoch).unwrap_or(0);
            experience.demoted = model.demoted;
        } else {
            experience.external_demoted = model.demoted;
        }
    }
    experience.tallies = tallies(tx, product, incident_type).await?;
    experience.seeds = seeds(tx, product).await?;
    Ok(experience)
}

async fn tallies(tx: &mut Tx, product: &str, incident_type: &str) -> Result<Vec<Tally>, StoreError> {
    let rows = sqlx::query!(
        "SELECT arm, incident_type, from_version, to_version, successes, failures FROM sira_tallies
         WHERE (incident_type, product) IN (('', ''), ($2, ''), ($2, $1))
         -- The general ones first: they are never cut off.
         ORDER BY to_version <> '', successes + failures DESC, arm, from_version, to_version LIMIT $3",
        product,
        incident_type,
        i64::try_from(MAX_TALLIES).unwrap_or(i64::MAX)
    )
    .fetch_all(&mut **tx)
    .await?;
    let tally = rows.into_iter().filter_map(|row| {
        Some(Tally {
            arm: row.arm.parse().ok()?,
            incident_type: row.incident_type,
            from: row.from_version,
            to: row.to_version,
            successes: round(row.successes),
            failures: round(row.failures),
        })
    });
    Ok(tally.collect())
}

async fn seeds(tx: &mut Tx, product: &str) -> Result<Vec<Seed>, StoreError> {
    let rows = sqlx::query!(
        "SELECT version, staging_passed, staging_failed, kept, reverted FROM sira_release_seeds
         WHERE product = $1 ORDER BY version DESC LIMIT $2",
        product,
        i64::try_from(MAX_RELEASES).unwrap_or(i64::MAX)
    )
    .fetch_all(&mut **tx)
    .await?;
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    let seed = rows.into_iter().map(|row| Seed {
        version: row.version,
        staging_passed: count(row.staging_passed),
        staging_failed: count(row.staging_failed),
        kept: count(row.kept),
        reverted: count(row.reverted),
    });
    Ok(seed.collect())
}
