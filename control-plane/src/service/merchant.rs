//! What merchants want of automatic changes.

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde_json::json;
use thiserror::Error;

use super::once::{self, OnceError, OnceKey};
use crate::{
    domain::policy::{BadWindow, MaintenanceWindow},
    store::{
        self, Db, StoreError,
        audit::{self, Actor},
        merchant::MerchantView,
    },
};

/// What is to be changed; what is not named stays.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Whether it wants no automatic changes.
    pub opt_out: Option<bool>,
    /// When it wants them; none inside: at any time.
    pub maintenance_window: Option<Option<MaintenanceWindow>>,
}

/// Why it was not done.
#[derive(Debug, Error)]
pub enum WishesError {
    /// There is no such merchant.
    #[error("there is no such merchant")]
    UnknownMerchant,
    /// The window can not be used.
    #[error(transparent)]
    Window(#[from] BadWindow),
    /// The key is of no use, or the database failed.
    #[error(transparent)]
    Once(#[from] OnceError),
}

impl From<StoreError> for WishesError {
    fn from(error: StoreError) -> Self {
        Self::Once(OnceError::Store(error))
    }
}

/// Keeps what a merchant wants; how it stands then. Cures that wait are judged anew at once.
///
/// # Errors
/// When there is no such merchant, or the window can not be.
pub async fn wish(
    db: &Db,
    who: &Actor,
    id: MerchantId,
    wishes: &Wishes,
    key: Option<&OnceKey>,
    now: Timestamp,
) -> Result<MerchantView, WishesError> {
    if let Some(Some(window)) = &wishes.maintenance_window {
        window.check()?;
    }
    let mut tx = db.begin().await?;
    if let Some(stored) = once::before(&mut tx, key).await? {
        return Ok(stored);
    }
    let was = store::merchant::lock(&mut tx, id)
        .await?
        .ok_or(WishesError::UnknownMerchant)?;
    let mut is = was.clone();
    if let Some(opt_out) = wishes.opt_out {
        is.autopatch_opt_out = opt_out;
    }
    if let Some(window) = &wishes.maintenance_window {
        is.maintenance_window = window.as_ref().map(|window| json!(window));
    }
    store::merchant::set_wishes(&mut tx, id, is.autopatch_opt_out, is.maintenance_window.as_ref()).await?;
    let shown = |view: &MerchantView| json!({ "opt_out": view.autopatch_opt_out, "maintenance_window": view.maintenance_window });
    let entry = audit::Entry {
        actor: who,
        action: "merchant_wishes_changed",
        merchant_id: Some(id),
        plugin_id: None,
        details: json!({ "was": shown(&was), "is": shown(&is) }),
    };
    audit::log(&mut tx, &entry).await?;
    once::after(&mut tx, key, &is, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(is)
}
