//! A version that is worse than its siblings, across the fleet: a finding of its own, which decisions rest on.

use jiff::Timestamp;
use serde_json::json;

use crate::store::{
    self, Db, StoreError,
    audit::{self, Actor, Entry},
};

/// That a blamed release is really bad (measured on simulated fleets, no good release was ever blamed).
const CONFIDENCE: f64 = 0.97;

/// Blames the releases that enough plugins speak against, and ends the findings that nothing speaks for any more; how many
/// changed.
///
/// # Errors
/// When the database fails.
pub async fn blame_releases(db: &Db, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let blamed = store::fleet::blame(&mut tx, CONFIDENCE, now).await?;
    for one in &blamed {
        let entry = Entry {
            actor: &Actor::System,
            action: "release_blamed",
            merchant_id: None,
            plugin_id: None,
            details: json!({
                "product": one.product, "version": one.version, "platform": one.platform, "plugins": one.plugins,
                "confidence": CONFIDENCE,
            }),
        };
        audit::log(&mut tx, &entry).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(blamed.len()).unwrap_or(u64::MAX))
}
