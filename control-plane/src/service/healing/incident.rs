//! One look at one incident: is it over, is somebody at it, has it taken too long, what would cure it?

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::AttemptId;
use serde_json::{Value, json};

use super::{Healing, HealingError, cure, is_overtaken, ports::Decided, tell::About};
use crate::{
    domain::{
        approval::Quorum,
        attempt::{self, Attempt},
        decision::Action,
        event::EventKind,
        incident::{ECHO, Status},
        policy::{Reason, Verdict},
    },
    service::approval::ask_about_cure,
    store::{
        self, StoreError, Tx,
        audit::Actor,
        incident::{Change, Held, Lease},
    },
};

/// When an incident that somebody is at is looked at again, at the latest.
const MINDED: SignedDuration = SignedDuration::from_mins(2);
/// When one that waits for something is looked at again.
const WAITING: SignedDuration = SignedDuration::from_secs(30);
/// When one that is decided about after another is looked at again.
const BEHIND: SignedDuration = SignedDuration::from_secs(2);
/// When one that is with people, or was left alone on purpose, is looked at again.
const LEFT_ALONE: SignedDuration = SignedDuration::from_mins(10);
/// Endings of attempts after which another cure may be tried.
const MAY_TRY_AGAIN: [&str; 6] = [
    "unhealthy",
    "staging_failed",
    "rejected",
    "not_done",
    "withdrawn",
    "worse",
];

enum Next {
    Done,
    Decide,
}

impl Healing {
    /// Looks at an incident that was claimed, and does the one thing that is to be done.
    ///
    /// # Errors
    /// When the database fails; nothing was done then.
    pub async fn look_at_incident(&self, lease: Lease, now: Timestamp) -> Result<(), HealingError> {
        let looked = match self.first_look(lease, now).await? {
            Next::Done => Ok(()),
            Next::Decide => {
                let decided = self.decider.decide(lease.id, now).await?;
                self.act_on(lease, &decided, self.clock.now()).await
            }
        };
        match looked {
            Err(error) if is_overtaken(&error) => Ok(()),
            other => other,
        }
    }

    async fn first_look(&self, lease: Lease, now: Timestamp) -> Result<Next, HealingError> {
        let mut tx = self.db.begin().await?;
        let Some(held) = lease.lock(&mut tx).await? else {
            return Ok(Next::Done);
        };
        let next = look(&mut tx, &held, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(next)
    }

    async fn act_on(&self, lease: Lease, decided: &Decided, now: Timestamp) -> Result<(), HealingError> {
        let mut tx = self.db.begin().await?;
        let policy = store::policy::hold(&mut tx).await?;
        let Some(held) = lease.lock(&mut tx).await? else {
            return Ok(());
        };
        let incident = &held.incident;
        let is_minded = store::attempt::is_any_live(&mut tx, incident.plugin_id).await?;
        if is_minded || !matches!(incident.status, Status::Open | Status::InProgress) {
            store::incident::look_again(&mut tx, incident.id, now + WAITING).await?;
            tx.commit().await.map_err(StoreError::from)?;
            return Ok(());
        }
        keep(&mut tx, &held, decided).await?;
        let id = AttemptId::from_parts(now, self.entropy.bytes()?);
        let situation = store::attempt::plugin(&mut tx, incident.plugin_id, None, now).await?;
        let attempt = cure::from_decision(&decided.decision, incident, &situation, id, now);
        match (decided.decision.action, attempt) {
            (Action::NoAction, _) => store::incident::look_again(&mut tx, incident.id, now + LEFT_ALONE).await?,
            (Action::NotifyOps, _) | (_, None) => {
                let words = &decided.decision.explanation;
                escalate(&mut tx, &held, "sira_asks_for_people", words, now).await?;
            }
            (_, Some(attempt)) => begin(&mut tx, &policy, &held, attempt, decided, now).await?,
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// What an incident that is held needs now.
async fn look(tx: &mut Tx, held: &Held, now: Timestamp) -> Result<Next, HealingError> {
    let incident = &held.incident;
    let (id, status) = (incident.id, incident.status);
    let is_minded = store::attempt::is_any_live(tx, incident.plugin_id).await?;
    let last = store::attempt::last_of(tx, id).await?;
    let last = last
        .as_ref()
        .map(|(status, reason)| (status.as_str(), reason.as_deref().unwrap_or("")));
    if status == Status::Mitigated && matches!(last, Some(("rolled_back", _))) {
        escalate(tx, held, "taken_back", "the cure was taken back", now).await?;
        return Ok(Next::Done);
    }
    let way_back = store::attempt::way_back_of(tx, id).await?;
    let is_in_hand = status == Status::Escalated || is_minded;
    if matches!(way_back.as_deref(), Some("failed" | "timeout")) && !is_in_hand {
        escalate(tx, held, "way_back_failed", "the cure could not be taken back", now).await?;
        return Ok(Next::Done);
    }
    let goes_back = matches!(
        way_back.as_deref(),
        Some("pending" | "sent" | "acknowledged" | "executing")
    );
    if !held.still_ill && !is_minded {
        let resolution = if status == Status::Mitigated {
            "cured"
        } else {
            "recovered"
        };
        close(tx, held, resolution, now).await?;
        return Ok(Next::Done);
    }
    if let Some((longest, becomes)) = status.lasts()
        && now.duration_since(incident.status_since) >= longest
    {
        match becomes {
            Status::Closed if was_ill_to_the_end(held) => {
                escalate(tx, held, "not_cured", "the cure held, and the plugin is still ill", now).await?;
            }
            Status::Closed => close(tx, held, "cured", now).await?,
            _ => escalate(tx, held, "took_too_long", "it has taken too long", now).await?,
        }
        return Ok(Next::Done);
    }
    let again = match status {
        // Whatever becomes of the cure, and of the illness, has it looked at before that.
        Status::Mitigated => MINDED,
        Status::Escalated | Status::Closed => LEFT_ALONE,
        Status::Open | Status::InProgress if is_minded => MINDED,
        // One illness shows in several ways; what cures the first may cure them all.
        Status::Open if store::incident::waits_behind(tx, incident).await? => BEHIND,
        Status::Open => return decide_if_enabled(tx, id, now).await,
        Status::InProgress => match last {
            Some(("success", _)) => {
                let step = Change {
                    next_look_at: Some(now + WAITING),
                    ..Change::default()
                };
                store::incident::transition(tx, id, status, Status::Mitigated, &step, now).await?;
                about(held)
                    .audit(tx, &Actor::Sira, "incident_mitigated", json!({ "incident_id": id }))
                    .await?;
                return Ok(Next::Done);
            }
            // Nothing is begun before the way back is over.
            Some((_, reason)) if MAY_TRY_AGAIN.contains(&reason) && goes_back => WAITING,
            Some((_, reason)) if MAY_TRY_AGAIN.contains(&reason) => {
                return decide_if_enabled(tx, id, now).await;
            }
            None => return decide_if_enabled(tx, id, now).await,
            Some((ended, _)) => {
                let words = format!("its attempt ended as {ended}");
                escalate(tx, held, "attempt_ended", &words, now).await?;
                return Ok(Next::Done);
            }
        },
    };
    store::incident::look_again(tx, id, now + again).await?;
    Ok(Next::Done)
}

/// Under the kill switch nothing new starts; nobody is even asked.
async fn decide_if_enabled(tx: &mut Tx, id: uuid::Uuid, now: Timestamp) -> Result<Next, HealingError> {
    if store::policy::load_in(tx).await?.autopatch_enabled {
        return Ok(Next::Decide);
    }
    store::incident::look_again(tx, id, now + WAITING).await?;
    Ok(Next::Done)
}

/// Whether evidence went on to come after the time for which what is reported is about the time before the cure.
fn was_ill_to_the_end(held: &Held) -> bool {
    held.last_evidence_at
        .is_some_and(|at| at.duration_since(held.incident.status_since) >= ECHO)
}

/// Keeps the decision where people and the reference system look for it.
async fn keep(tx: &mut Tx, held: &Held, decided: &Decided) -> Result<(), StoreError> {
    let mut shown = serde_json::to_value(&decided.decision).map_err(|e| StoreError::corrupt("decision", e))?;
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("source".to_owned(), json!(decided.source));
        fields.insert("model_version".to_owned(), json!(decided.model_version));
    }
    store::incident::keep_decision(tx, held.incident.id, &shown).await?;
    let details = json!({ "incident_id": held.incident.id, "decision": shown });
    about(held).audit(tx, &Actor::Sira, "incident_decided", details).await
}

/// Judges a cure for the first time and, unless it is refused for good, begins it.
async fn begin(
    tx: &mut Tx,
    policy: &crate::domain::policy::Policy,
    held: &Held,
    mut attempt: Attempt,
    decided: &Decided,
    now: Timestamp,
) -> Result<(), HealingError> {
    let judged = cure::judge_attempt(tx, policy, &held.incident, &attempt, now).await?;
    attempt.release_digest = judged.grounds.release.as_ref().map(|release| release.digest);
    let mut first_look = now;
    let mut needed = None;
    match &judged.verdict {
        Verdict::Allow => {}
        Verdict::NeedsApproval { of, reasons } => {
            attempt.requires_approval = true;
            needed = Some(approval_needed(of, reasons));
        }
        Verdict::Refuse { again_at: Some(at), .. } => first_look = *at,
        Verdict::Refuse {
            reasons,
            again_at: None,
        } => {
            remember(tx, held, None, &judged, now).await?;
            escalate_for(tx, held, reasons, now).await?;
            return Ok(());
        }
    }
    let lasts = attempt::Status::Pending.lasts(attempt.requires_approval, policy.staging_timeout);
    attempt.deadline_at = first_look
        .checked_add(lasts.unwrap_or_default())
        .unwrap_or(Timestamp::MAX);
    let words = format!("{} decided: {}", decided.source, decided.decision.explanation);
    let look = if attempt.requires_approval {
        attempt.deadline_at
    } else {
        first_look
    };
    if !store::attempt::insert(tx, &attempt, "sira", (needed.as_ref(), look), &words, now).await? {
        store::incident::look_again(tx, held.incident.id, now + WAITING).await?;
        return Ok(());
    }
    remember(tx, held, Some(attempt.id), &judged, now).await?;
    let details = json!({
        "attempt_id": attempt.id, "incident_id": attempt.incident_id, "method": attempt.method.as_str(),
        "from_version": attempt.from_version, "to_version": attempt.to_version, "release_digest": attempt.release_digest,
        "confidence": attempt.confidence, "verdict": verdict_words(&judged.verdict),
    });
    about(held).audit(tx, &Actor::Sira, "attempt_created", details).await?;
    match &judged.verdict {
        Verdict::NeedsApproval { of, reasons } => {
            ask_about_cure(tx, (held, &attempt), (of, reasons), attempt.deadline_at, now).await?;
            escalate_for(tx, held, reasons, now).await?;
        }
        _ if held.incident.status == Status::Open => {
            let step = Change {
                next_look_at: Some(now + MINDED),
                ..Change::default()
            };
            let (id, from) = (held.incident.id, held.incident.status);
            store::incident::transition(tx, id, from, Status::InProgress, &step, now).await?;
            about(held)
                .audit(tx, &Actor::Sira, "incident_in_progress", json!({ "incident_id": id }))
                .await?;
        }
        _ => store::incident::look_again(tx, held.incident.id, now + MINDED).await?,
    }
    Ok(())
}

/// Keeps what the policy said, so that another one can be asked the same.
pub async fn remember(
    tx: &mut Tx,
    held: &Held,
    attempt: Option<AttemptId>,
    judged: &cure::Judged,
    now: Timestamp,
) -> Result<(), StoreError> {
    let about = (&held.incident, held.merchant_id);
    store::judgement::insert(tx, about, attempt, (&judged.verdict, &judged.grounds), now).await
}

/// Who must say yes and why, as it is kept with the attempt.
pub fn approval_needed(of: &Quorum, reasons: &[Reason]) -> Value {
    json!({
        "people": of.people, "one_of_each": of.one_of_each, "reasons": reasons,
        "words": reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn verdict_words(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Allow => json!("allow"),
        Verdict::NeedsApproval { of, reasons } => json!({ "needs_approval": of, "reasons": reasons }),
        Verdict::Refuse { reasons, again_at } => json!({ "not_now": reasons, "again_at": again_at }),
    }
}

/// Calls people because the policy does not let it go on by itself.
pub async fn escalate_for(tx: &mut Tx, held: &Held, reasons: &[Reason], now: Timestamp) -> Result<(), StoreError> {
    let code = reasons.first().map_or("refused", Reason::code);
    let words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    escalate(tx, held, code, &words.join("; "), now).await
}

/// Calls people: the incident is theirs from now on, unless it heals by itself.
pub async fn escalate(tx: &mut Tx, held: &Held, reason: &str, words: &str, now: Timestamp) -> Result<(), StoreError> {
    let (id, from) = (held.incident.id, held.incident.status);
    if from == Status::Escalated {
        return store::incident::look_again(tx, id, now + LEFT_ALONE).await;
    }
    let step = Change {
        next_look_at: Some(now + LEFT_ALONE),
        escalation_reason: Some(format!("{reason}: {words}")),
        resolution: None,
    };
    store::incident::transition(tx, id, from, Status::Escalated, &step, now).await?;
    let data = json!({
        "incident_id": id, "incident_type": held.incident.incident_type, "severity": held.incident.severity,
        "reason": reason, "explanation": words, "was": from.as_str(),
    });
    about(held)
        .audit(tx, &Actor::Sira, "incident_escalated", data.clone())
        .await?;
    about(held).event(tx, EventKind::IncidentRequiresApproval, data).await
}

async fn close(tx: &mut Tx, held: &Held, resolution: &'static str, now: Timestamp) -> Result<(), StoreError> {
    let (id, from) = (held.incident.id, held.incident.status);
    let step = Change {
        resolution: Some(resolution),
        ..Change::default()
    };
    // What heals by itself while a decision was on its way goes straight to its end.
    store::incident::transition(tx, id, from, Status::Closed, &step, now).await?;
    let details = json!({ "incident_id": id, "was": from.as_str(), "resolution": resolution });
    about(held).audit(tx, &Actor::System, "incident_closed", details).await
}

/// Whom an incident is about.
pub fn about(held: &Held) -> About {
    About {
        merchant_id: held.merchant_id,
        plugin_id: held.incident.plugin_id,
    }
}
