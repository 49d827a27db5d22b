//! The partitions of telemetry.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Db, StoreError};

/// The day of `at`, UTC: partitions go by it.
fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Makes the partitions of the days from `first` to `last`; those that exist are left alone. How many it made.
///
/// # Errors
/// When the database fails, or the days are more than 60.
pub async fn ensure_partitions(db: &Db, first: Timestamp, last: Timestamp) -> Result<u32, StoreError> {
    let made = sqlx::query_scalar!(
        r#"SELECT ensure_telemetry_partitions($1::text::date, $2::text::date) AS "made!""#,
        day(first).to_string(),
        day(last).to_string()
    )
    .fetch_one(db.pool())
    .await?;
    Ok(u32::try_from(made).unwrap_or(0))
}

/// Drops at most `at_most` partitions of days before `oldest`. How many it dropped.
///
/// # Errors
/// When the database fails.
pub async fn drop_partitions(db: &Db, oldest: Timestamp, at_most: u32) -> Result<u32, StoreError> {
    let dropped = sqlx::query_scalar!(
        r#"SELECT drop_telemetry_partitions($1::text::date, $2) AS "dropped!""#,
        day(oldest).to_string(),
        i32::try_from(at_most).unwrap_or(i32::MAX)
    )
    .fetch_one(db.pool())
    .await?;
    Ok(u32::try_from(dropped).unwrap_or(0))
}
