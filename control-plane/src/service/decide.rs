//! Deciding: the facts are gathered, somebody is asked, and the decision is stored with what it rests on.
//!
//! The healing loop calls [`decide`] with an open incident, outside of any transaction: an external decider may take
//! its ten seconds. What to do with the decision is policy's to say.

mod desk;
mod gather;

use jiff::Timestamp;
use serde_json::json;
use thiserror::Error;
use uuid::Uuid;

pub use desk::DecisionDesk;
pub use gather::question;

use crate::{
    domain::decision::{Decided, Question},
    sira::Sira,
    store::{
        self, Db, StoreError, Tx,
        audit::{self, Actor},
        decision::NewDecision,
    },
};

/// Why there is no decision.
#[derive(Debug, Error)]
pub enum DecideError {
    /// There is no such incident.
    #[error("there is no such incident")]
    UnknownIncident,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A decision that was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// `sira_decisions.id`.
    pub id: Uuid,
    /// What was asked.
    pub question: Question,
    /// What was decided, and by whom.
    pub decided: Decided,
}

/// Decides about an incident and stores the decision. `random` makes its id.
///
/// # Errors
/// When there is no such incident, or the database fails. A decider that fails is no error: another one decides.
pub async fn decide(
    db: &Db,
    sira: &Sira,
    incident_id: Uuid,
    random: [u8; 10],
    now: Timestamp,
) -> Result<Recorded, DecideError> {
    let mut tx = db.begin().await?;
    let question = question(&mut tx, incident_id, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let decided = sira.decide(&question, now).await;
    let recorded = Recorded {
        id: plugmend_shared::ids::CommandId::from_parts(now, random).0,
        question,
        decided,
    };
    let mut tx = db.begin().await?;
    record(&mut tx, incident_id, &recorded, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(recorded)
}

/// Stores a decision in the caller's transaction, with its entry in the audit trail.
///
/// # Errors
/// When the database fails.
pub async fn record(tx: &mut Tx, incident_id: Uuid, recorded: &Recorded, now: Timestamp) -> Result<(), StoreError> {
    let (question, decided) = (&recorded.question, &recorded.decided);
    let new = NewDecision {
        id: recorded.id,
        incident_id,
        question,
        decided,
    };
    store::decision::insert(tx, &new, now).await?;
    let decision = &decided.decision;
    let entry = audit::Entry {
        actor: &Actor::Sira,
        action: "decision_made",
        merchant_id: Some(question.merchant_id),
        plugin_id: Some(question.plugin_id),
        details: json!({
            "decision_id": recorded.id, "incident_id": incident_id, "action": decision.action,
            "version": decision.patch_version, "confidence": decision.confidence,
            "source": decided.source, "model_version": decided.model_version, "passed_over": decided.passed_over,
        }),
    };
    audit::log(tx, &entry).await
}
