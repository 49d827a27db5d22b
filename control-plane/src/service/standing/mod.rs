//! Whether an agent may speak, answered for every request from memory and corrected at once when it changes anywhere.

mod cache;
mod feed;
mod watchers;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::{BootId, Digest, MerchantId, PluginId};
use serde_json::json;
use thiserror::Error;

pub use watchers::Subscription;

use crate::{
    domain::identity::{AgentIdentity, AgentState, Evidence, Sighting, Sign, Standing, observe, standing},
    store::{
        Db, StoreError, Tx, agent,
        audit::{self, Actor, Entry},
        certificate::{self, Bearer},
        standing_feed::StandingNews,
    },
};
use cache::Cache;
use watchers::Watchers;

/// What standings are judged by.
#[derive(Debug, Clone)]
pub struct StandingOptions {
    /// How long after its end a certificate may still renew itself.
    pub grace: SignedDuration,
    /// How long a request may have been under way when its sender was replaced.
    pub in_flight: SignedDuration,
    /// How many agents are kept in memory.
    pub remembered: usize,
    /// How often the database is asked what changed, should notifications fail.
    pub poll: Duration,
}

impl Default for StandingOptions {
    fn default() -> Self {
        Self {
            grace: SignedDuration::from_hours(24 * 30),
            in_flight: SignedDuration::from_secs(60),
            remembered: 200_000,
            poll: Duration::from_secs(5),
        }
    }
}

/// What an agent shows with a request.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    /// SHA-256 of its certificate (DER).
    pub fingerprint: Digest,
    /// This life of its process; only release files may be fetched without.
    pub boot_id: Option<BootId>,
    /// From where.
    pub address: &'a str,
    /// Whether it asks to be renewed.
    pub renewal: bool,
}

/// Why an agent may not speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The certificate is not one that is remembered.
    Unknown,
    /// It was revoked.
    Revoked {
        /// Why.
        reason: String,
    },
    /// Its process begins anew again and again: no more lives are remembered for now.
    Restless,
    /// It was seen in two places.
    Fenced {
        /// Since when.
        at: Timestamp,
    },
    /// It has expired.
    Expired {
        /// When.
        not_after: Timestamp,
        /// Whether it may still renew itself.
        renewable: bool,
    },
}

/// Why a standing could not be found good.
#[derive(Debug, Error)]
pub enum StandingError {
    /// It is not.
    #[error("the agent may not speak")]
    Refused(Refusal),
    /// It is not known.
    #[error("the agent's standing is not known")]
    Store(#[from] StoreError),
}

/// The standings of all agents.
pub struct Standings {
    db: Db,
    options: StandingOptions,
    cache: Cache,
    watchers: Arc<Watchers>,
}

impl Standings {
    /// Nothing remembered yet. [`Standings::follow`] keeps what will be in step with the database; without it nothing
    /// is ever answered from memory.
    pub fn new(db: Db, options: StandingOptions) -> Self {
        let cache = Cache::new(options.remembered, options.poll * 3);
        Self {
            db,
            options,
            cache,
            watchers: Arc::default(),
        }
    }

    /// Tells whoever holds it that the standing of a plugin's agent may have changed.
    pub fn subscribe(&self, plugin_id: PluginId) -> Subscription {
        self.watchers.subscribe(plugin_id)
    }

    /// Judges a request, and remembers what it tells about the agent.
    pub async fn admit(&self, shown: &Shown<'_>, now: Timestamp) -> Result<AgentIdentity, StandingError> {
        let bearer = self.bearer(&shown.fingerprint).await?;
        self.judge(&bearer, shown.renewal, now)?;
        let sign = Sign {
            boot_id: shown.boot_id,
            renewals: bearer.identity.renewals,
            address: shown.address.to_owned(),
            at: now,
        };
        let (changed, sighting) = observe(&bearer.sightings, &sign, self.options.in_flight);
        if sighting == Sighting::Restless {
            return Err(StandingError::Refused(Refusal::Restless));
        }
        if changed.is_some() || matches!(sighting, Sighting::TwoPlaces(_)) {
            self.remember(&bearer, &sign).await?;
        }
        Ok(bearer.identity.clone())
    }

    /// Judges a request that was admitted before, after news.
    pub async fn recheck(&self, fingerprint: &Digest, renewal: bool, now: Timestamp) -> Result<(), StandingError> {
        let bearer = self.bearer(fingerprint).await?;
        self.judge(&bearer, renewal, now)
    }

    /// Forgets what news are about, and wakes who waits for them.
    pub fn apply(&self, news: &StandingNews) {
        match news {
            StandingNews::Plugins(plugins) => plugins.iter().for_each(|plugin| self.forget(*plugin)),
            StandingNews::Anybody => {
                self.cache.clear();
                self.watchers.wake_all();
            }
        }
    }

    fn forget(&self, plugin_id: PluginId) {
        self.cache.forget(plugin_id);
        self.watchers.wake(plugin_id);
    }

    async fn bearer(&self, fingerprint: &Digest) -> Result<Arc<Bearer>, StandingError> {
        if let Some(bearer) = self.cache.get(fingerprint) {
            return Ok(bearer);
        }
        let age = self.cache.age();
        let found = certificate::bearer(&self.db, fingerprint).await?;
        let bearer = Arc::new(found.ok_or(StandingError::Refused(Refusal::Unknown))?);
        self.cache.put(*fingerprint, bearer.clone(), age);
        Ok(bearer)
    }

    fn judge(&self, bearer: &Bearer, renewal: bool, now: Timestamp) -> Result<(), StandingError> {
        let not_after = bearer.certificate.not_after;
        let refusal = match standing(&bearer.certificate, &bearer.agent, now, self.options.grace) {
            Standing::Active => return Ok(()),
            Standing::ExpiredWithinGrace if renewal => return Ok(()),
            Standing::ExpiredWithinGrace => Refusal::Expired {
                not_after,
                renewable: true,
            },
            Standing::Expired => Refusal::Expired {
                not_after,
                renewable: false,
            },
            Standing::Revoked { reason } => Refusal::Revoked { reason },
            Standing::Fenced { at } => Refusal::Fenced { at },
        };
        Err(StandingError::Refused(refusal))
    }

    /// Judges the sign once more on what the database holds, under the agent's lock, and stores the outcome.
    async fn remember(&self, bearer: &Bearer, sign: &Sign) -> Result<(), StandingError> {
        let who = &bearer.identity;
        let mut tx = self.db.begin().await?;
        let unknown = StandingError::Refused(Refusal::Unknown);
        let agent = agent::lock(&mut tx, who.plugin_id).await?.ok_or(unknown)?;
        refuse_changed(&agent.state())?;
        let (next, sighting) = observe(&agent.sightings, sign, self.options.in_flight);
        if let Some(next) = &next {
            agent::remember(&mut tx, who.plugin_id, next).await?;
        }
        let fenced = match &sighting {
            Sighting::TwoPlaces(evidence) => {
                fence(&mut tx, (who.merchant_id, who.plugin_id), evidence, sign.at).await?;
                Err(StandingError::Refused(Refusal::Fenced { at: sign.at }))
            }
            Sighting::Restless => Err(StandingError::Refused(Refusal::Restless)),
            Sighting::Seen | Sighting::Superseded => Ok(()),
        };
        tx.commit().await.map_err(StoreError::from)?;
        self.forget(who.plugin_id);
        fenced
    }
}

fn refuse_changed(agent: &AgentState) -> Result<(), StandingError> {
    match (&agent.revoked, agent.fenced_at) {
        (Some(reason), _) => Err(StandingError::Refused(Refusal::Revoked { reason: reason.clone() })),
        (None, Some(at)) => Err(StandingError::Refused(Refusal::Fenced { at })),
        (None, None) => Ok(()),
    }
}

/// Fences an agent that is held, with its audit entry.
pub(super) async fn fence(
    tx: &mut Tx,
    (merchant_id, plugin_id): (MerchantId, PluginId),
    evidence: &Evidence,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !agent::fence(tx, plugin_id, evidence, now).await? {
        return Ok(());
    }
    tracing::warn!(%plugin_id, "an agent's identity was seen in two places and is fenced");
    let entry = Entry {
        actor: &Actor::System,
        action: "agent_fenced",
        merchant_id: Some(merchant_id),
        plugin_id: Some(plugin_id),
        details: json!({ "evidence": evidence }),
    };
    audit::log(tx, &entry).await
}

/// Revokes an agent for a person; false when there is no such agent or it was revoked already.
pub async fn revoke(
    db: &Db,
    (actor, by): (&Actor, &str),
    plugin_id: PluginId,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    let Some(agent) = agent::lock(&mut tx, plugin_id).await? else {
        return Ok(false);
    };
    if !agent::revoke(&mut tx, plugin_id, reason, by, now).await? {
        return Ok(false);
    }
    let entry = Entry {
        actor,
        action: "agent_revoked",
        merchant_id: Some(agent.merchant_id),
        plugin_id: Some(plugin_id),
        details: json!({ "reason": reason }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(true)
}
