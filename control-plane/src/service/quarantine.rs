//! Quarantines, lifted by people.

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::json;
use thiserror::Error;
use uuid::Uuid;

use crate::store::{
    self, Db, StoreError,
    audit::{self, Actor},
    quarantine::QuarantineView,
};

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 1000;

/// Why it was not done.
#[derive(Debug, Error)]
pub enum QuarantineError {
    /// There is no such quarantine.
    #[error("there is no such quarantine")]
    Unknown,
    /// It was lifted before.
    #[error("it was lifted already")]
    Lifted,
    /// Nothing is said about why.
    #[error("say why, in 1 to {LONGEST_REASON} bytes")]
    NoReason,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lifts a quarantine: the release may be given again where it was kept away. One that was kept from everybody stays away from
/// the plugins that it failed on, until theirs are lifted as well; and when it fails once more, it is kept from everybody again.
///
/// # Errors
/// When there is none that holds, or nothing is said about why.
pub async fn lift(
    db: &Db,
    who: &Actor,
    id: Uuid,
    reason: &str,
    now: Timestamp,
) -> Result<QuarantineView, QuarantineError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        return Err(QuarantineError::NoReason);
    }
    let mut tx = db.begin().await?;
    let held = store::quarantine::lock(&mut tx, id)
        .await?
        .ok_or(QuarantineError::Unknown)?;
    let by = who.id().unwrap_or_default();
    if !store::quarantine::lift(&mut tx, id, (&by, reason), now).await? {
        return Err(QuarantineError::Lifted);
    }
    let entry = audit::Entry {
        actor: who,
        action: "quarantine_lifted",
        merchant_id: held.merchant_id.map(MerchantId),
        plugin_id: held.plugin_id.map(PluginId),
        details: json!({
            "quarantine_id": id, "product": held.product, "version": held.version,
            "release_digest": held.release_digest, "was_kept_because": held.reason, "reason": reason,
        }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(QuarantineView {
        lifted_at: Some(now),
        lifted_by: Some(by),
        lifted_why: Some(reason.to_owned()),
        ..held
    })
}
