//! Counts, or takes what was counted.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::store::{
    Db, StoreError,
    figures::{self, Kept},
};

/// What was counted so lately is not counted again.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// What takes longer to count, in ms, is left to the worker.
const CHEAP_MS: i32 = 250;
/// What is older is counted again whatever it takes: there may be no worker.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// The figures of a name as they were counted, or as `count` counts them now; and when that was.
///
/// # Errors
/// When the database fails.
pub async fn kept_or<T, F>(
    db: &Db,
    name: &str,
    now: Timestamp,
    count: impl FnOnce() -> F,
) -> Result<(T, Timestamp), StoreError>
where
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<T, StoreError>>,
{
    if let Some(kept) = figures::kept(db, name).await? {
        let age = now.duration_since(kept.counted_at).abs();
        let is_good = age <= FRESH || kept.took_ms > CHEAP_MS && age <= STALE;
        // What another version of ours has kept may look otherwise.
        if let (true, Ok(figures)) = (is_good, serde_json::from_value(kept.data)) {
            return Ok((figures, kept.counted_at));
        }
    }
    Ok((counted(db, name, now, count).await?, now))
}

/// Counts, and keeps it for everybody.
///
/// # Errors
/// When the database fails.
pub async fn counted<T, F>(db: &Db, name: &str, now: Timestamp, count: impl FnOnce() -> F) -> Result<T, StoreError>
where
    T: Serialize,
    F: Future<Output = Result<T, StoreError>>,
{
    let begun = Instant::now();
    let figures = count().await?;
    let kept = Kept {
        counted_at: now,
        took_ms: i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX),
        data: serde_json::to_value(&figures).map_err(|error| StoreError::corrupt("figure", error))?,
    };
    figures::keep(db, name, &kept).await?;
    Ok(figures)
}
