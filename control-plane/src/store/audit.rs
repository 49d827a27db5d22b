//! The audit trail: written, never changed.

use plugmend_shared::ids::{MerchantId, PluginId};
use serde_json::Value;

use super::{StoreError, Tx};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person of ops, by the subject of their token.
    Ops(String),
    /// The plugin's agent, or the plugin itself.
    Merchant(MerchantId),
    /// The healing loop, by itself.
    Sira,
    /// The control plane.
    System,
}

impl Actor {
    /// `plugin_audit.actor_type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ops(_) => "ops",
            Self::Merchant(_) => "merchant",
            Self::Sira => "sira",
            Self::System => "system",
        }
    }

    /// `plugin_audit.actor_id`.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::Ops(subject) => Some(subject.clone()),
            Self::Merchant(id) => Some(id.to_string()),
            Self::Sira | Self::System => None,
        }
    }
}

/// One entry.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Who acts.
    pub actor: &'a Actor,
    /// What was done, `command_created` say.
    pub action: &'a str,
    /// Whose shop it is about.
    pub merchant_id: Option<MerchantId>,
    /// Which plugin it is about.
    pub plugin_id: Option<PluginId>,
    /// What else is worth knowing; never a secret.
    pub details: Value,
}

/// Writes an entry in the transaction that does what it tells of.
///
/// # Errors
/// When the database fails.
pub async fn log(tx: &mut Tx, entry: &Entry<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT log_plugin_audit($1, $2, $3, $4, $5, $6)",
        entry.merchant_id.map(|id| id.0),
        entry.plugin_id.map(|id| id.0),
        entry.actor.id(),
        entry.actor.kind(),
        entry.action,
        entry.details,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
