//! Receivers of webhooks, as people manage them.

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Entropy,
    secret_box::{SecretBox, SecretBoxError},
};
use crate::{
    domain::event::EventKind,
    notify::{Sender, signature},
    store::{
        self, Db, StoreError,
        audit::{self, Actor, Entry},
        webhook::NewWebhook,
    },
};

/// What is needed to take receivers.
#[derive(Debug, Clone)]
pub struct WebhookDesk {
    /// Encrypts their secrets.
    pub secrets: SecretBox,
    /// Knows which addresses can be sent to.
    pub sender: Sender,
}

/// A receiver that is asked for.
#[derive(Debug, Clone)]
pub struct WebhookOrder {
    /// Whose; none: ops'.
    pub merchant_id: Option<MerchantId>,
    /// Which events; `*` is every one.
    pub event_type: String,
    /// Where.
    pub url: String,
    /// Where else, when that fails.
    pub failover_url: Option<String>,
    /// How it wants to be tried again.
    pub retry_config: Value,
}

/// Why it was not done.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// The order says what can not be.
    #[error("{0}")]
    Malformed(String),
    /// There is no such receiver, or delivery, or merchant.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// The same events go there already.
    #[error("the same events go to this address already")]
    Taken,
    /// The secret could not be made.
    #[error(transparent)]
    Secret(#[from] SecretBoxError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WebhookDesk {
    /// Stores a receiver; its secret is given out here and never again.
    ///
    /// # Errors
    /// When it can not be sent to, or is there already.
    pub async fn add(
        &self,
        db: &Db,
        who: &Actor,
        order: WebhookOrder,
        entropy: &Entropy,
        now: Timestamp,
    ) -> Result<(Uuid, Zeroizing<String>), WebhookError> {
        self.check(&order)?;
        let random = entropy.bytes().map_err(SecretBoxError::from)?;
        let id = MerchantId::from_parts(now, random).0;
        let secret = signature::spell(&entropy.bytes().map_err(SecretBoxError::from)?);
        let mut tx = db.begin().await?;
        if let Some(merchant_id) = order.merchant_id
            && !store::merchant::exists(&mut tx, merchant_id).await?
        {
            return Err(WebhookError::Unknown("merchant"));
        }
        let new = NewWebhook {
            id,
            merchant_id: order.merchant_id,
            event_type: order.event_type,
            url: order.url,
            secret: self.secrets.seal(id, &secret, entropy)?,
            failover_url: order.failover_url,
            retry_config: order.retry_config,
        };
        match store::webhook::insert(&mut tx, &new).await {
            Err(StoreError::Conflict { .. }) => return Err(WebhookError::Taken),
            done => done?,
        }
        let entry = Entry {
            actor: who,
            action: "webhook_created",
            merchant_id: new.merchant_id,
            plugin_id: None,
            details: json!({ "webhook_id": id, "event_type": new.event_type, "host": host(&new.url) }),
        };
        audit::log(&mut tx, &entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok((id, secret))
    }

    fn check(&self, order: &WebhookOrder) -> Result<(), WebhookError> {
        let known = order.event_type == "*" || EventKind::ALL.iter().any(|kind| kind.as_str() == order.event_type);
        if !known {
            let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            return Err(WebhookError::Malformed(format!(
                "event_type is one of {}, or *",
                names.join(", ")
            )));
        }
        if !order.retry_config.is_object() || order.retry_config.to_string().len() > 1000 {
            return Err(WebhookError::Malformed(
                "retry_config is {max_attempts, initial_delay_s, max_delay_s}".to_owned(),
            ));
        }
        for url in std::iter::once(&order.url).chain(&order.failover_url) {
            self.sender.check(url).map_err(WebhookError::Malformed)?;
        }
        Ok(())
    }
}

/// Who acts on receivers.
#[derive(Debug)]
pub struct By {
    /// Who.
    pub who: Actor,
    /// The only merchant whose receivers they see; none when they see all, those of ops among them.
    pub only: Option<MerchantId>,
}

impl By {
    /// Whether they see a receiver with this owner.
    fn sees(&self, owner: Option<MerchantId>) -> bool {
        self.only.is_none() || self.only == owner
    }
}

/// Turns a receiver on or off; what waits for one that is off is ended.
///
/// # Errors
/// When there is none that they see.
pub async fn set_active(db: &Db, by: &By, id: Uuid, active: bool, now: Timestamp) -> Result<(), WebhookError> {
    let mut tx = db.begin().await?;
    let status = if active { "active" } else { "disabled" };
    let merchant_id = store::webhook::set_status(&mut tx, id, status)
        .await?
        .filter(|owner| by.sees(*owner))
        .ok_or(WebhookError::Unknown("webhook"))?;
    let mut ended = 0;
    if !active {
        ended = store::delivery::end_all(&mut tx, id, "the receiver was disabled", now).await?;
    }
    let entry = Entry {
        actor: &by.who,
        action: if active { "webhook_enabled" } else { "webhook_disabled" },
        merchant_id,
        plugin_id: None,
        details: json!({ "webhook_id": id, "deliveries_ended": ended }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// What was given up and is to be sent again.
#[derive(Debug, Clone, Copy)]
pub enum Dead {
    /// Everything of a receiver.
    Of(Uuid),
    /// This delivery.
    One(Uuid),
}

/// Sends dead deliveries again; how many.
///
/// # Errors
/// When there is no such receiver or dead delivery that they see.
pub async fn replay(db: &Db, by: &By, dead: Dead, now: Timestamp) -> Result<u64, WebhookError> {
    let (webhook_id, delivery_id, what) = match dead {
        Dead::Of(id) => (Some(id), None, "webhook"),
        Dead::One(id) => (None, Some(id), "delivery"),
    };
    let mut tx = db.begin().await?;
    let merchant_id = store::webhook::owner(&mut tx, webhook_id, delivery_id)
        .await?
        .filter(|owner| by.sees(*owner))
        .ok_or(WebhookError::Unknown(what))?;
    let revived = store::delivery::replay(&mut tx, webhook_id, delivery_id, now).await?;
    if revived == 0 && delivery_id.is_some() {
        return Err(WebhookError::Unknown("delivery"));
    }
    let entry = Entry {
        actor: &by.who,
        action: "webhook_replayed",
        merchant_id,
        plugin_id: None,
        details: json!({ "webhook_id": webhook_id, "delivery_id": delivery_id, "deliveries": revived }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(revived)
}

/// An address for the audit: path and query may hold a secret.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}
