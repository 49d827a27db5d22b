//! The next certificate for an agent that shows its last.

use jiff::Timestamp;
use plugmend_shared::protocol::identity::{Identity, RenewRequest};
use serde_json::json;
use thiserror::Error;

use super::{
    enrolment::{Enrolment, EnrolmentError},
    standing::fence,
};
use crate::{
    domain::identity::{AgentIdentity, Evidence, IssuedCertificate, RenewalRequest, RenewalVerdict, renewal_verdict},
    pki::request::{self, RequestError},
    store::{
        StoreError, agent,
        audit::{self, Actor, Entry},
        certificate,
    },
};

/// Why there is no next certificate.
#[derive(Debug, Error)]
pub enum AgentRenewalError {
    /// The request for a certificate is refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The request contradicts what is known of the agent.
    #[error("the count of renewals does not fit the certificate, or the key is not a new one")]
    Contradiction,
    /// The agent's standing changed while it asked.
    #[error("the agent may not renew any more")]
    Stood,
    /// Two hosts use this identity; both are fenced now.
    #[error("this identity asked for its next certificate with two keys: it is used in two places")]
    TwoPlaces,
    /// It could not be issued.
    #[error(transparent)]
    Issue(#[from] EnrolmentError),
}

impl From<StoreError> for AgentRenewalError {
    fn from(error: StoreError) -> Self {
        Self::Issue(error.into())
    }
}

impl Enrolment {
    /// Renews. Asked again with the same key, because the answer was lost, it answers with the same certificate.
    pub async fn renew(
        &self,
        who: &AgentIdentity,
        asked: &RenewRequest,
        address: &str,
        now: Timestamp,
    ) -> Result<Identity, AgentRenewalError> {
        let key = request::check(&asked.csr_pem)?;
        let mut tx = self.db.begin().await?;
        let agent = agent::lock(&mut tx, who.plugin_id)
            .await?
            .ok_or(AgentRenewalError::Stood)?;
        if agent.revoked_at.is_some() || agent.fenced_at.is_some() {
            return Err(AgentRenewalError::Stood);
        }
        // It was good when the request was let through; what was revoked since then must not be renewed.
        if !certificate::is_good(&mut tx, who.plugin_id, &who.serial).await? {
            return Err(AgentRenewalError::Stood);
        }
        let newest = certificate::newest(&mut tx, who.plugin_id)
            .await?
            .ok_or(AgentRenewalError::Stood)?;
        let issued = IssuedCertificate {
            renewals: newest.renewals,
            key: newest.key,
        };
        let request = RenewalRequest {
            shown: who.renewals,
            claimed: asked.renewals,
            key: key.key,
        };
        match renewal_verdict(&issued, &request) {
            RenewalVerdict::Repeat => Ok(self.identity(who.merchant_id, &newest)),
            RenewalVerdict::Contradiction => Err(AgentRenewalError::Contradiction),
            RenewalVerdict::Issue { renewals } => {
                let names = (who.merchant_id, who.plugin_id);
                let next = self.issue(&mut tx, names, &key, renewals, now).await?;
                let entry = Entry {
                    actor: &Actor::Merchant(who.merchant_id),
                    action: "agent_certificate_renewed",
                    merchant_id: Some(who.merchant_id),
                    plugin_id: Some(who.plugin_id),
                    details: json!({"renewals": renewals, "serial": next.serial, "address": address}),
                };
                audit::log(&mut tx, &entry).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Ok(self.identity(who.merchant_id, &next))
            }
            RenewalVerdict::TwoPlaces => {
                let evidence = Evidence::TwoRenewals {
                    shown: who.renewals,
                    issued: newest.renewals,
                    address: address.to_owned(),
                    at: now,
                    boot_id: Some(asked.boot_id),
                };
                fence(&mut tx, (who.merchant_id, who.plugin_id), &evidence, now).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Err(AgentRenewalError::TwoPlaces)
            }
        }
    }
}
