//! How an attempt ends, and what that means for its incident, its release and those who wait for news.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    dispatch::actor,
    incident::{about, escalate},
};
use crate::{
    domain::{
        attempt::{Attempt, Fault, Status},
        event::{Event, EventKind},
        incident,
    },
    store::{
        self, StoreError, Tx,
        attempt::Step,
        audit::{Actor, Entry},
        incident::{Change, Held},
        quarantine::{self, Failed},
    },
};

/// On how many plugins a release may fail before nobody is given it.
const FAILS_FOR_THE_FLEET: i64 = 3;
/// How long a mitigated incident is left before its first look.
const WATCH: SignedDuration = SignedDuration::from_secs(30);

/// An end.
#[derive(Debug, Clone)]
pub struct End {
    status: Status,
    reason: &'static str,
    words: String,
    staging_result: Option<Value>,
    production_result: Option<Value>,
    blames: Option<Fault>,
    escalates: bool,
}

impl End {
    fn new(status: Status, reason: &'static str, words: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            words: words.into(),
            staging_result: None,
            production_result: None,
            blames: None,
            escalates: false,
        }
    }

    /// It was applied, and held.
    pub fn success(words: impl Into<String>) -> Self {
        Self::new(Status::Success, "success", words)
    }

    /// It was not applied.
    pub fn failed(reason: &'static str, words: impl Into<String>) -> Self {
        Self::new(Status::Failed, reason, words)
    }

    /// It was applied and taken back.
    pub fn rolled_back(reason: &'static str, words: impl Into<String>) -> Self {
        Self::new(Status::RolledBack, reason, words)
    }

    /// It was called off.
    pub fn cancelled(reason: &'static str, words: impl Into<String>) -> Self {
        Self::new(Status::Cancelled, reason, words)
    }

    /// This plugin is not given the release again and, where the fault is the release's, perhaps nobody is.
    pub fn blaming(mut self, fault: Fault) -> Self {
        self.blames = (fault != Fault::Nobody).then_some(fault);
        self
    }

    /// People are called.
    pub fn escalating(mut self) -> Self {
        self.escalates = true;
        self
    }

    /// With what the sandbox said.
    pub fn staged(mut self, result: Value) -> Self {
        self.staging_result = Some(result);
        self
    }

    /// With what was seen on the host.
    pub fn produced(mut self, result: Value) -> Self {
        self.production_result = Some(result);
        self
    }
}

/// Moves an attempt that is held to a step on its way, with its audit entry.
pub async fn step(
    tx: &mut Tx,
    held: &Held,
    attempt: &Attempt,
    to: Status,
    step: &Step,
    now: Timestamp,
) -> Result<(), StoreError> {
    let to = attempt
        .status
        .to(to)
        .map_err(|_| StoreError::Stale { what: "the attempt" })?;
    store::attempt::transition(tx, (attempt.id, attempt.status, to), step, now).await?;
    if to.is_live() && held.incident.status == incident::Status::Escalated {
        // People decided.
        let (id, was) = (held.incident.id, held.incident.status);
        let change = Change {
            next_look_at: Some(now + WATCH),
            ..Change::default()
        };
        store::incident::transition(tx, id, was, incident::Status::InProgress, &change, now).await?;
        about(held)
            .audit(
                tx,
                &actor(attempt),
                "incident_in_progress",
                json!({ "incident_id": id }),
            )
            .await?;
    }
    // What is called off leaves its entry by the trigger that also follows the runbook's hand.
    if to == Status::Cancelled {
        return Ok(());
    }
    let details = json!({
        "attempt_id": attempt.id, "incident_id": attempt.incident_id, "was": attempt.status,
        "method": attempt.method.as_str(), "from_version": attempt.from_version, "to_version": attempt.to_version,
        "words": step.words, "reason": step.end_reason,
    });
    let action = format!("attempt_{to}");
    about(held).audit(tx, &actor(attempt), &action, details).await
}

/// Ends an attempt that is held, along with its incident.
pub async fn end(tx: &mut Tx, held: &Held, attempt: &Attempt, end: &End, now: Timestamp) -> Result<(), StoreError> {
    let written = Step {
        words: end.words.clone(),
        staging_result: end.staging_result.clone(),
        production_result: end.production_result.clone(),
        end_reason: Some(end.reason),
        rollback_reason: (end.status == Status::RolledBack).then(|| end.words.clone()),
        ..Step::default()
    };
    step(tx, held, attempt, end.status, &written, now).await?;
    if let Some(fault) = end.blames {
        blame(tx, held, attempt, (fault, &end.words), now).await?;
    }
    tell(tx, held, attempt, end).await?;
    // The trigger that follows attempts has the incident looked at; here it is only moved where that is certain.
    match held.incident.status {
        status @ (incident::Status::InProgress | incident::Status::Escalated) if end.status == Status::Success => {
            // Where the detectors agree already, it is over.
            let pause = if held.still_ill { WATCH } else { SignedDuration::ZERO };
            let change = Change {
                next_look_at: Some(now + pause),
                ..Change::default()
            };
            let id = held.incident.id;
            store::incident::transition(tx, id, status, incident::Status::Mitigated, &change, now).await?;
            let details = json!({ "incident_id": id, "attempt_id": attempt.id });
            about(held)
                .audit(tx, &actor(attempt), "incident_mitigated", details)
                .await?;
        }
        status if status != incident::Status::Closed && end.escalates => {
            escalate(tx, held, end.reason, &end.words, now).await?;
        }
        _ => {}
    }
    Ok(())
}

async fn tell(tx: &mut Tx, held: &Held, attempt: &Attempt, end: &End) -> Result<(), StoreError> {
    let kind = match end.status {
        Status::Success => EventKind::AutopatchSuccess,
        Status::Failed => EventKind::AutopatchFailed,
        Status::RolledBack => EventKind::AutopatchRolledBack,
        _ => return Ok(()),
    };
    let data = json!({
        "incident_id": attempt.incident_id, "attempt_id": attempt.id, "incident_type": held.incident.incident_type,
        "method": attempt.method.as_str(), "from_version": attempt.from_version, "to_version": attempt.to_version,
        "reason": end.reason, "explanation": end.words, "production_result": end.production_result,
    });
    about(held).event(tx, kind, data).await
}

/// Keeps a release away from the plugin that it failed on and, after several by its own fault, from everybody.
async fn blame(
    tx: &mut Tx,
    held: &Held,
    attempt: &Attempt,
    (fault, why): (Fault, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let (Some(product), Some(version), Some(digest)) = (&attempt.product, &attempt.to_version, &attempt.release_digest)
    else {
        return Ok(());
    };
    let version = version.to_string();
    let failed = Failed {
        product: product.as_str(),
        version: &version,
        digest,
        plugin_id: attempt.plugin_id,
        attempt_id: attempt.id,
        reason: why,
        counts: fault == Fault::Release,
    };
    let plugins = quarantine::put(tx, &failed, now).await?;
    let details = json!({
        "product": product, "version": version, "release_digest": digest, "attempt_id": attempt.id, "why": why,
        "plugins": plugins,
    });
    about(held)
        .audit(tx, &Actor::Sira, "release_quarantined", details.clone())
        .await?;
    if plugins < FAILS_FOR_THE_FLEET || !quarantine::put_everywhere(tx, &failed, now).await? {
        return Ok(());
    }
    let entry = Entry {
        actor: &Actor::Sira,
        action: "release_quarantined_everywhere",
        merchant_id: None,
        plugin_id: None,
        details: details.clone(),
    };
    store::audit::log(tx, &entry).await?;
    let event = Event {
        kind: EventKind::ReleaseQuarantined,
        merchant_id: None,
        plugin_id: None,
        data: details,
    };
    store::outbox::put(tx, &event).await
}
