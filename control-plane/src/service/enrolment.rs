//! First contact: a one-time token and a key become an agent with a certificate, in one transaction.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    ids::{Digest, MerchantId, PluginId},
    protocol::identity::{AgentName, EnrolRequest, Identity},
};
use serde_json::json;
use thiserror::Error;
use uuid::Uuid;

use super::{
    Entropy, NoEntropy,
    token_hash::{self, TokenHasher},
};
use crate::{
    pki::{
        AgentCa, CaError,
        request::{self, CheckedRequest, RequestError},
    },
    store::{
        Db, StoreError, Tx,
        agent::{self, NewAgent},
        audit::{self, Actor, Entry},
        certificate::{self, Certificate},
        enrolment_token::{self, Spent, Token},
        plugin::{self, NewPlugin},
    },
};

/// The longest version or platform that is taken, in bytes.
const MAX_WORD: usize = 64;

/// How certificates are made.
#[derive(Debug, Clone)]
pub struct IssuingOptions {
    /// Of the agents' names.
    pub trust_domain: String,
    /// How long a certificate is good for.
    pub lifetime: SignedDuration,
    /// What agents check the gateway's certificate against when that is not from the agents' CA, PEM.
    pub gateway_ca_pem: Option<String>,
}

/// Makes agents and renews them.
pub struct Enrolment {
    pub(super) db: Db,
    pub(super) ca: Arc<AgentCa>,
    pub(super) options: IssuingOptions,
    hasher: TokenHasher,
    entropy: Entropy,
}

/// Why a token is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TokenFault {
    /// No such token, or another secret; which of the two is nobody's business.
    #[error("there is no such enrolment token")]
    Wrong,
    /// It was used before.
    #[error("the enrolment token has been spent already; ask for another")]
    Spent,
    /// It is too old.
    #[error("the enrolment token has expired; ask for another")]
    Expired,
    /// It was made for something else.
    #[error("the enrolment token was made for {made_for}, not for {asked_for}")]
    Other {
        /// Product and platform of the token.
        made_for: String,
        /// Those of the request.
        asked_for: String,
    },
}

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum EnrolmentError {
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The request for a certificate is refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A word in the request is too long or odd.
    #[error("{0} is longer than 64 bytes or has control characters")]
    Word(&'static str),
    /// The certificate could not be signed.
    #[error("the certificate was not issued")]
    Ca(#[from] CaError),
    /// The database failed.
    #[error("the certificate was not issued")]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error("the certificate was not issued")]
    Entropy(#[from] NoEntropy),
}

impl Enrolment {
    /// Ready to serve.
    pub fn new(db: Db, ca: Arc<AgentCa>, hasher: TokenHasher, entropy: Entropy, options: IssuingOptions) -> Self {
        Self {
            db,
            ca,
            options,
            hasher,
            entropy,
        }
    }

    /// Spends the token. Asked again with the same token and the same key, because the answer was lost, it answers
    /// with the same certificate.
    pub async fn enrol(&self, asked: &EnrolRequest, address: &str, now: Timestamp) -> Result<Identity, EnrolmentError> {
        check_words(asked)?;
        let (id, secret) = token_hash::read(&asked.token).ok_or(TokenFault::Wrong)?;
        let key = request::check(&asked.csr_pem)?;
        let mut tx = self.db.begin().await?;
        let token = enrolment_token::lock(&mut tx, id).await?.ok_or(TokenFault::Wrong)?;
        if !self.hasher.matches(id, &secret, &token.secret_hash) {
            return Err(TokenFault::Wrong.into());
        }
        if now > token.expires_at {
            return Err(TokenFault::Expired.into());
        }
        if let Some(spent) = &token.spent {
            return self.repeat(&mut tx, spent, &key).await;
        }
        if token.product != asked.product.as_str() || token.cms != asked.cms {
            let made_for = format!("{} on {}", token.product, token.cms);
            let asked_for = format!("{} on {}", asked.product, asked.cms);
            return Err(TokenFault::Other { made_for, asked_for }.into());
        }
        let plugin_id = self.plugin(&mut tx, &token, asked, now).await?;
        let agent = NewAgent {
            plugin_id,
            merchant_id: token.merchant_id,
            product: &asked.product,
            agent_version: &asked.agent_version,
            address,
        };
        agent::enrol(&mut tx, &agent, now).await?;
        let certificate = self
            .issue(&mut tx, (token.merchant_id, plugin_id), &key, 0, now)
            .await?;
        let spent = Spent {
            plugin_id,
            key: key.key,
        };
        enrolment_token::spend(&mut tx, id, &spent, address, now).await?;
        log_enrolment(&mut tx, &token, plugin_id, (id, &certificate.serial, address)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.identity(token.merchant_id, &certificate))
    }

    async fn repeat(&self, tx: &mut Tx, spent: &Spent, key: &CheckedRequest) -> Result<Identity, EnrolmentError> {
        if spent.key != key.key {
            return Err(TokenFault::Spent.into());
        }
        let agent = agent::lock(tx, spent.plugin_id).await?;
        let newest = certificate::newest(tx, spent.plugin_id).await?;
        match (agent, newest) {
            // Only while nothing has happened since: the first certificate of this very enrolment.
            (Some(agent), Some(first)) if first.key == key.key && first.renewals == 0 => {
                Ok(self.identity(agent.merchant_id, &first))
            }
            _ => Err(TokenFault::Spent.into()),
        }
    }

    /// The plugin that the token names, handed to its new agent, or a new one.
    async fn plugin(
        &self,
        tx: &mut Tx,
        token: &Token,
        asked: &EnrolRequest,
        now: Timestamp,
    ) -> Result<PluginId, EnrolmentError> {
        if let Some(id) = token.plugin_id {
            plugin::hand_to_agent(tx, id, &asked.product, now).await?;
            if agent::lock(tx, id).await?.is_some() {
                certificate::revoke_all(tx, id, "enrolled anew", now).await?;
            }
            return Ok(id);
        }
        let id = PluginId::from_parts(now, self.entropy.bytes()?);
        let fresh = NewPlugin {
            id,
            merchant_id: token.merchant_id,
            product: Some(asked.product.clone()),
            cms: asked.cms.clone(),
            plugin_version: asked.plugin_version.clone().unwrap_or_else(|| "unknown".to_owned()),
            agent_managed: true,
            capabilities: Vec::new(),
        };
        plugin::insert(tx, &fresh, now).await?;
        Ok(id)
    }

    /// Signs and stores a certificate.
    pub(super) async fn issue(
        &self,
        tx: &mut Tx,
        (merchant_id, plugin_id): (MerchantId, PluginId),
        key: &CheckedRequest,
        renewals: u64,
        now: Timestamp,
    ) -> Result<Certificate, EnrolmentError> {
        let name = AgentName {
            trust_domain: self.options.trust_domain.clone(),
            merchant_id,
            plugin_id,
        };
        let after = |duration| now.checked_add(duration).unwrap_or(Timestamp::MAX);
        let not_after = after(self.options.lifetime);
        let issued = self
            .ca
            .issue_agent(&name, &key.spki_der, (now, not_after), self.entropy.bytes()?)?;
        let certificate = Certificate {
            fingerprint: Digest::of(&issued.der),
            serial: issued.serial,
            plugin_id,
            renewals,
            key: key.key,
            pem: issued.pem,
            issued_at: now,
            not_after,
            renew_after: after(self.options.lifetime / 3 * 2),
            revoked: None,
        };
        certificate::insert(tx, &certificate).await?;
        Ok(certificate)
    }

    /// What the agent is told.
    pub(super) fn identity(&self, merchant_id: MerchantId, certificate: &Certificate) -> Identity {
        let ca_pem = self
            .options
            .gateway_ca_pem
            .as_deref()
            .unwrap_or(self.ca.certificate_pem());
        Identity {
            merchant_id,
            plugin_id: certificate.plugin_id,
            certificate_pem: certificate.pem.clone(),
            ca_pem: ca_pem.to_owned(),
            renewals: certificate.renewals,
            not_after: certificate.not_after,
            renew_after: certificate.renew_after,
        }
    }
}

fn check_words(asked: &EnrolRequest) -> Result<(), EnrolmentError> {
    let odd = |word: &str| word.len() > MAX_WORD || word.chars().any(char::is_control);
    if odd(&asked.cms) {
        return Err(EnrolmentError::Word("cms"));
    }
    if odd(&asked.agent_version) {
        return Err(EnrolmentError::Word("agent_version"));
    }
    match &asked.plugin_version {
        Some(version) if odd(version) => Err(EnrolmentError::Word("plugin_version")),
        _ => Ok(()),
    }
}

async fn log_enrolment(
    tx: &mut Tx,
    token: &Token,
    plugin_id: PluginId,
    (token_id, serial, address): (Uuid, &str, &str),
) -> Result<(), StoreError> {
    let entry = Entry {
        actor: &Actor::Merchant(token.merchant_id),
        action: if token.plugin_id.is_some() {
            "agent_enrolled_anew"
        } else {
            "agent_enrolled"
        },
        merchant_id: Some(token.merchant_id),
        plugin_id: Some(plugin_id),
        details: json!({
            "token_id": token_id, "token_created_by": token.created_by, "serial": serial, "address": address,
        }),
    };
    audit::log(tx, &entry).await
}
