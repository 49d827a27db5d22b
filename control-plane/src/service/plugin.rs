//! Merchants, their plugins and the secrets of those without agent.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    once::{self, OnceError, OnceKey},
    secret::{self, SecretHasher},
};
use crate::store::{
    self, Db, StoreError,
    audit::{self, Actor},
    plugin::NewPlugin,
};

/// How long the secret before is taken beside a new one, unless told otherwise.
pub const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// The longest it may be.
pub const LONGEST_OVERLAP: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why it was not done.
#[derive(Debug, Error)]
pub enum PluginError {
    /// There is no such plugin.
    #[error("there is no such plugin")]
    UnknownPlugin,
    /// There is no such merchant.
    #[error("there is no such merchant")]
    UnknownMerchant,
    /// The plugin has an agent.
    #[error("an agent looks after this plugin; it can not use a plugin secret")]
    AgentManaged,
    /// The id is taken.
    #[error("the id is taken")]
    Taken,
    /// The key is of no use, or the database failed.
    #[error(transparent)]
    Once(#[from] OnceError),
}

impl From<StoreError> for PluginError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => Self::Taken,
            other => Self::Once(OnceError::Store(other)),
        }
    }
}

/// A merchant that was stored.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MerchantStored {
    /// Its id.
    pub id: MerchantId,
    /// Its name.
    pub name: String,
}

/// Stores a merchant.
///
/// # Errors
/// When the id is taken.
pub async fn add_merchant(
    db: &Db,
    who: &Actor,
    merchant: MerchantStored,
    key: Option<&OnceKey>,
    now: Timestamp,
) -> Result<MerchantStored, PluginError> {
    let mut tx = db.begin().await?;
    if let Some(stored) = once::before(&mut tx, key).await? {
        return Ok(stored);
    }
    store::merchant::insert(&mut tx, merchant.id, &merchant.name, now).await?;
    let entry = audit::Entry {
        actor: who,
        action: "merchant_created",
        merchant_id: Some(merchant.id),
        plugin_id: None,
        details: json!({ "name": merchant.name }),
    };
    audit::log(&mut tx, &entry).await?;
    once::after(&mut tx, key, &merchant, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(merchant)
}

/// A plugin that was stored.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PluginStored {
    /// Its id.
    pub id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
}

/// Stores a plugin without agent (one with an agent comes by enrolment).
///
/// # Errors
/// When the merchant is unknown or the id is taken.
pub async fn add_plugin(
    db: &Db,
    who: &Actor,
    plugin: &NewPlugin,
    key: Option<&OnceKey>,
    now: Timestamp,
) -> Result<PluginStored, PluginError> {
    let mut tx = db.begin().await?;
    if let Some(stored) = once::before(&mut tx, key).await? {
        return Ok(stored);
    }
    if !store::merchant::exists(&mut tx, plugin.merchant_id).await? {
        return Err(PluginError::UnknownMerchant);
    }
    store::plugin::insert(&mut tx, plugin, now).await?;
    let entry = audit::Entry {
        actor: who,
        action: "plugin_created",
        merchant_id: Some(plugin.merchant_id),
        plugin_id: Some(plugin.id),
        details: json!({ "cms": plugin.cms, "product": plugin.product }),
    };
    audit::log(&mut tx, &entry).await?;
    let stored = PluginStored {
        id: plugin.id,
        merchant_id: plugin.merchant_id,
    };
    once::after(&mut tx, key, &stored, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(stored)
}

/// Makes a new secret for a plugin without agent; the one before is taken until `overlap` from now. The secret is
/// given out here and never again.
///
/// # Errors
/// When there is no such plugin or it has an agent.
pub async fn rotate_secret(
    db: &Db,
    who: &Actor,
    hasher: &SecretHasher,
    plugin_id: PluginId,
    random: [u8; 32],
    overlap: SignedDuration,
    now: Timestamp,
) -> Result<Zeroizing<String>, PluginError> {
    let mut tx = db.begin().await?;
    let plugin = store::plugin::lock(&mut tx, plugin_id)
        .await?
        .ok_or(PluginError::UnknownPlugin)?;
    if plugin.agent_managed {
        return Err(PluginError::AgentManaged);
    }
    let secret = secret::spell(random);
    let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
    store::plugin::rotate_secret(&mut tx, plugin_id, &hasher.hash(&secret), until).await?;
    let entry = audit::Entry {
        actor: who,
        action: "plugin_secret_rotated",
        merchant_id: Some(plugin.merchant_id),
        plugin_id: Some(plugin_id),
        details: json!({ "previous_taken_until": until }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(secret)
}
