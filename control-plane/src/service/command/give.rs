//! Orders given by people.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    ids::{CommandId, PluginId},
    protocol::command::{CommandKind, CommandPayload},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::Recipient;
use crate::{
    domain::command::{LIFETIME, MAX_RETRIES, Order, Retries, State},
    service::{
        approval,
        once::{self, OnceError, OnceKey},
        release,
    },
    store::{self, Db, StoreError, Tx, audit, plugin::Plugin},
};

/// The longest an order may be good for.
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An order to be given.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NewOrder {
    /// What to do.
    #[serde(rename = "type")]
    pub kind: CommandKind,
    /// With what; product, digest, generation and watch are filled in.
    #[serde(flatten)]
    pub payload: CommandPayload,
    /// How often to try again; 3 unless told otherwise, 10 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// The order that was given.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Given {
    /// Its id.
    pub id: CommandId,
    /// `pending`, or `needs_approval`.
    pub status: String,
    /// From then on it is void.
    pub expires_at: Timestamp,
    /// The approval that it waits for; it is given under its id once people said yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<uuid::Uuid>,
}

/// Why an order is not given.
#[derive(Debug, Error)]
pub enum GiveError {
    /// There is no such plugin.
    #[error("there is no such plugin")]
    UnknownPlugin,
    /// The plugin runs without agent and does not declare that it can do this.
    #[error("the plugin has no agent and does not declare the capability '{0}'")]
    Incapable(&'static str),
    /// The order lacks something or says too much.
    #[error("{0}")]
    Malformed(&'static str),
    /// The release is not published, or was revoked.
    #[error("{0}")]
    NoRelease(String),
    /// The key is of no use, or the database failed.
    #[error(transparent)]
    Once(#[from] OnceError),
}

impl From<StoreError> for GiveError {
    fn from(error: StoreError) -> Self {
        Self::Once(OnceError::Store(error))
    }
}

/// Gives an order to a plugin: stored and audited in one transaction, announced at its commit.
///
/// # Errors
/// When it can not be given; nothing is stored then.
pub async fn give(
    db: &Db,
    who: &audit::Actor,
    plugin_id: PluginId,
    order: NewOrder,
    key: Option<&OnceKey>,
    id: CommandId,
    now: Timestamp,
) -> Result<Given, GiveError> {
    check(&order)?;
    let mut tx = db.begin().await?;
    if let Some(given) = once::before(&mut tx, key).await? {
        return Ok(given);
    }
    let created_by = who.id().unwrap_or_default();
    let given = match ask_people(&mut tx, &created_by, plugin_id, &order, id, now).await? {
        Some(asked) => asked,
        None => give_in(&mut tx, who, &created_by, plugin_id, order, id, now).await?,
    };
    once::after(&mut tx, key, &given, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(given)
}

/// The same within a transaction of the caller's, which does what the order belongs to.
///
/// # Errors
/// When it can not be given; the transaction is of no more use after an error of the database.
pub async fn give_in(
    tx: &mut Tx,
    who: &audit::Actor,
    created_by: &str,
    plugin_id: PluginId,
    order: NewOrder,
    id: CommandId,
    now: Timestamp,
) -> Result<Given, GiveError> {
    check(&order)?;
    let plugin = store::plugin::lock(tx, plugin_id)
        .await?
        .ok_or(GiveError::UnknownPlugin)?;
    can(&plugin, order.kind)?;
    let order = complete(tx, &plugin, order, id, now).await?;
    store::command::insert(tx, &order, created_by, now).await?;
    let entry = audit::Entry {
        actor: who,
        action: "command_created",
        merchant_id: Some(plugin.merchant_id),
        plugin_id: Some(plugin_id),
        details: json!({
            "command_id": id, "type": order.kind.as_str(), "version": order.payload.version,
            "release_digest": order.payload.release_digest, "reason": order.payload.reason,
            "attempt_id": order.payload.attempt_id,
            // Values may be secret; the names of what is set are not.
            "settings": order.payload.config.as_ref().map(|config| config.keys().collect::<Vec<_>>()),
        }),
    };
    audit::log(tx, &entry).await?;
    Ok(Given {
        id,
        status: order.state.status().to_owned(),
        expires_at: order.expires_at,
        approval_id: None,
    })
}

/// Asks people about an order, where the policy wants that. What is asked about is exactly one release.
async fn ask_people(
    tx: &mut Tx,
    who: &str,
    plugin_id: PluginId,
    order: &NewOrder,
    id: CommandId,
    now: Timestamp,
) -> Result<Option<Given>, GiveError> {
    let plugin = store::plugin::lock(tx, plugin_id)
        .await?
        .ok_or(GiveError::UnknownPlugin)?;
    can(&plugin, order.kind)?;
    let mut order = order.clone();
    order.payload.product = plugin.product.as_deref().and_then(|name| name.parse().ok());
    bind(tx, &mut order).await?;
    let asked = approval::order::ask(tx, who, &plugin, &order, id, now).await?;
    Ok(asked.map(|(approval_id, expires_at)| Given {
        id,
        status: "needs_approval".to_owned(),
        expires_at,
        approval_id: Some(approval_id),
    }))
}

fn can(plugin: &Plugin, kind: CommandKind) -> Result<(), GiveError> {
    let recipient = Recipient {
        id: plugin.id,
        agent_managed: plugin.agent_managed,
        capabilities: plugin.capabilities.clone(),
    };
    if recipient.can(kind) {
        Ok(())
    } else {
        Err(GiveError::Incapable(kind.as_str()))
    }
}

/// Binds an order that names a version to that release's content.
async fn bind(tx: &mut Tx, order: &mut NewOrder) -> Result<(), GiveError> {
    let is_named = names_release(order.kind);
    let payload = &mut order.payload;
    if let (Some(product), Some(version), true) = (&payload.product, &payload.version, is_named) {
        let digest = release::offered(tx, product, version, payload.release_digest.as_ref()).await?;
        payload.release_digest = Some(digest.map_err(|why| GiveError::NoRelease(why.to_string()))?);
    }
    Ok(())
}

fn check(order: &NewOrder) -> Result<(), GiveError> {
    let payload = &order.payload;
    if order.kind == CommandKind::Update && payload.version.is_none() {
        return Err(GiveError::Malformed("an update names the version to install"));
    }
    let has_settings = payload.config.as_ref().is_some_and(|config| !config.is_empty());
    if (order.kind == CommandKind::ConfigUpdate) != has_settings {
        return Err(GiveError::Malformed(
            "settings (config) belong to a config_update, which needs at least one",
        ));
    }
    if payload.reason.as_ref().is_some_and(|reason| reason.len() > 1000) {
        return Err(GiveError::Malformed("the reason is longer than 1000 bytes"));
    }
    if order.max_retries.is_some_and(|max| max > 10) {
        return Err(GiveError::Malformed("at most 10 retries"));
    }
    Ok(())
}

fn names_release(kind: CommandKind) -> bool {
    matches!(kind, CommandKind::Update | CommandKind::Rollback)
}

/// Fills in what the plugin, the releases and the policy decide.
async fn complete(
    tx: &mut Tx,
    plugin: &Plugin,
    mut new: NewOrder,
    id: CommandId,
    now: Timestamp,
) -> Result<Order, GiveError> {
    new.payload.product = plugin.product.as_deref().and_then(|name| name.parse().ok());
    bind(tx, &mut new).await?;
    let mut payload = new.payload;
    let lifetime = payload
        .expires_in_s
        .and_then(|seconds| i64::try_from(seconds).ok())
        .map_or(LIFETIME, SignedDuration::from_secs);
    if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
        return Err(GiveError::Malformed("an order is good for 1 second to 7 days"));
    }
    // Assigned when it is sent.
    payload.generation = plugmend_shared::generation::Generation::ZERO;
    payload.expires_in_s = None;
    let changes = matches!(
        new.kind,
        CommandKind::Update | CommandKind::Rollback | CommandKind::ConfigUpdate
    );
    if changes && payload.health.is_none() {
        payload.health = Some(store::policy::health(tx).await?);
    }
    Ok(Order {
        id,
        plugin_id: plugin.id,
        kind: new.kind,
        payload,
        expires_at: now.checked_add(lifetime).unwrap_or(Timestamp::MAX),
        retries: Retries {
            count: 0,
            max: new.max_retries.unwrap_or(MAX_RETRIES),
        },
        state: State::Pending {
            last: None,
            not_before: None,
        },
    })
}
