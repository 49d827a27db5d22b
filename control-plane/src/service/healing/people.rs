//! What people do about incidents: say yes to a cure, choose another, or take the matter out of the loop's hands.

use jiff::Timestamp;
use plugmend_shared::ids::AttemptId;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::{
    cure,
    dispatch::hold_back,
    end::{self, End},
    incident::{about, approval_needed, remember},
};
use crate::{
    domain::{
        approval::{OpsRole, Refused},
        attempt::{Attempt, Method, Origin, Status, installs},
        incident,
        policy::{Reason, Verdict},
    },
    service::{
        Entropy, NoEntropy,
        once::{self, OnceError, OnceKey},
    },
    store::{
        self, Db, StoreError, Tx,
        audit::Actor,
        incident::{Change, Held},
    },
};

/// Why it was not done.
#[derive(Debug, Error)]
pub enum ManualError {
    /// There is no such incident.
    #[error("there is no such incident")]
    Unknown,
    /// Nothing waits for a yes.
    #[error("no cure of this incident waits for approval")]
    NothingToApprove,
    /// What was looked at is not what would be installed.
    #[error("the cure is another release by now; look at it again")]
    OtherRelease,
    /// The yes does not count.
    #[error(transparent)]
    NotCounted(#[from] Refused),
    /// The incident is over.
    #[error("the incident is closed")]
    Closed,
    /// Another cure is on its way.
    #[error("another cure of this plugin is on its way; cancel it first")]
    UnderWay,
    /// There is nothing to cancel.
    #[error("no cure of this incident is on its way")]
    NothingUnderWay,
    /// The action lacks something.
    #[error("{0}")]
    Malformed(&'static str),
    /// Not by anybody.
    #[error("{}", words(.0))]
    Refused(Vec<Reason>),
    /// The key is of no use.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// The system gave no random numbers.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn words(reasons: &[Reason]) -> String {
    let words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Who acts.
#[derive(Debug, Clone)]
pub struct Person {
    /// By the subject of their token.
    pub subject: String,
    /// In which roles; at least one.
    pub roles: Vec<OpsRole>,
}

/// What a person wants done.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualAction {
    /// `patch`, `hotfix`, `rollback`, `reinstall`, `config_fix`, `cancel` or `close`.
    pub action: String,
    /// The version, for `patch`, `hotfix` and (if it is not to be the one before) `rollback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub version: Option<Version>,
    /// The settings, for `config_fix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What it came to.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ManualDone {
    /// Always true.
    pub ok: bool,
    /// The attempt that was begun or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<AttemptId>,
    /// Whether more people must say yes.
    pub requires_approval: bool,
}

/// Does what a person wants about an incident.
///
/// # Errors
/// When it can not be done.
pub async fn manual_action(
    (db, entropy): (&Db, &Entropy),
    who: &Person,
    incident_id: Uuid,
    action: &ManualAction,
    key: Option<&OnceKey>,
    now: Timestamp,
) -> Result<ManualDone, ManualError> {
    if action.reason.as_ref().is_some_and(|reason| reason.len() > 1000) {
        return Err(ManualError::Malformed("the reason is longer than 1000 bytes"));
    }
    let mut tx = db.begin().await?;
    if let Some(done) = once::before(&mut tx, key).await? {
        return Ok(done);
    }
    let policy = store::policy::hold(&mut tx).await?;
    let live = store::attempt::lock_live_of(&mut tx, incident_id).await?;
    let held = store::incident::lock(&mut tx, incident_id)
        .await?
        .ok_or(ManualError::Unknown)?;
    if held.incident.status == incident::Status::Closed {
        return Err(ManualError::Closed);
    }
    let actor = Actor::Ops(who.subject.clone());
    let details = json!({ "incident_id": incident_id, "action": action.action, "version": action.version,
        "settings": action.config.as_ref().map(|config| config.keys().collect::<Vec<_>>()), "reason": action.reason });
    about(&held)
        .audit(&mut tx, &actor, "incident_manual_action", details)
        .await?;
    let done = match action.action.as_str() {
        "cancel" => {
            let attempt = live.ok_or(ManualError::NothingUnderWay)?;
            cancel(&mut tx, &held, &attempt, who, now).await?
        }
        "close" => {
            if let Some(attempt) = &live {
                cancel(&mut tx, &held, attempt, who, now).await?;
            }
            close(&mut tx, &held, &actor, now).await?
        }
        _ if live.is_some() => return Err(ManualError::UnderWay),
        method => {
            let method: Method = method.parse().map_err(|_| {
                ManualError::Malformed("action is patch, hotfix, rollback, reinstall, config_fix, cancel or close")
            })?;
            let id = AttemptId::from_parts(now, entropy.bytes()?);
            order(&mut tx, &policy, (&held, who), (method, action), id, now).await?
        }
    };
    once::after(&mut tx, key, &done, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(done)
}

async fn cancel(
    tx: &mut Tx,
    held: &Held,
    attempt: &Attempt,
    who: &Person,
    now: Timestamp,
) -> Result<ManualDone, StoreError> {
    let end = End::cancelled("cancelled", format!("cancelled by {}", who.subject));
    end::end(tx, held, attempt, &end, now).await?;
    Ok(ManualDone {
        ok: true,
        attempt_id: Some(attempt.id),
        requires_approval: false,
    })
}

async fn close(tx: &mut Tx, held: &Held, actor: &Actor, now: Timestamp) -> Result<ManualDone, StoreError> {
    let change = Change {
        resolution: Some("closed_by_hand"),
        ..Change::default()
    };
    let (id, from) = (held.incident.id, held.incident.status);
    store::incident::transition(tx, id, from, incident::Status::Closed, &change, now).await?;
    let details = json!({ "incident_id": id, "was": from.as_str(), "resolution": "closed_by_hand" });
    about(held).audit(tx, actor, "incident_closed", details).await?;
    Ok(ManualDone {
        ok: true,
        attempt_id: None,
        requires_approval: false,
    })
}

async fn order(
    tx: &mut Tx,
    policy: &crate::domain::policy::Policy,
    (held, who): (&Held, &Person),
    (method, action): (Method, &ManualAction),
    id: AttemptId,
    now: Timestamp,
) -> Result<ManualDone, ManualError> {
    let situation = store::attempt::plugin(tx, held.incident.plugin_id, None, now).await?;
    if store::attempt::is_any_live(tx, held.incident.plugin_id).await? {
        return Err(ManualError::UnderWay);
    }
    let mut attempt = wanted(held, &situation, (method, action), id, now)?;
    let judged = cure::judge_attempt(tx, policy, &held.incident, &attempt, now).await?;
    attempt.release_digest = judged.grounds.release.as_ref().map(|release| release.digest);
    let needed = match &judged.verdict {
        Verdict::Allow | Verdict::Refuse { again_at: Some(_), .. } => None,
        Verdict::Refuse {
            reasons,
            again_at: None,
        } => return Err(ManualError::Refused(reasons.clone())),
        Verdict::NeedsApproval { of, reasons } => Some(approval_needed(of, reasons)),
    };
    attempt.requires_approval = needed.is_some();
    let lasts = Status::Pending
        .lasts(attempt.requires_approval, policy.staging_timeout)
        .unwrap_or_default();
    attempt.deadline_at = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let words = action
        .reason
        .clone()
        .unwrap_or_else(|| format!("ordered by {}", who.subject));
    let look = (needed.as_ref(), now);
    if !store::attempt::insert(tx, &attempt, &who.subject, look, &words, now).await? {
        return Err(ManualError::UnderWay);
    }
    remember(tx, held, Some(id), &judged, now).await?;
    if needed.is_some() {
        hold_back(tx, policy, (held, &attempt), &judged.verdict, now)
            .await
            .map_err(|error| match error {
                super::HealingError::Store(error) => ManualError::Store(error),
                super::HealingError::Entropy(error) => ManualError::Entropy(error),
            })?;
    } else if held.incident.status != incident::Status::InProgress {
        to_in_progress(tx, held, now).await?;
    }
    Ok(ManualDone {
        ok: true,
        attempt_id: Some(id),
        requires_approval: needed.is_some(),
    })
}

/// An incident that people take into their hands; one that was thought cured is escalated on the way there.
async fn to_in_progress(tx: &mut Tx, held: &Held, now: Timestamp) -> Result<(), StoreError> {
    let (id, mut from) = (held.incident.id, held.incident.status);
    let change = Change {
        next_look_at: Some(now),
        ..Change::default()
    };
    if from == incident::Status::Mitigated {
        store::incident::transition(tx, id, from, incident::Status::Escalated, &change, now).await?;
        from = incident::Status::Escalated;
    }
    store::incident::transition(tx, id, from, incident::Status::InProgress, &change, now).await
}

fn wanted(
    held: &Held,
    situation: &store::attempt::PluginSituation,
    (method, action): (Method, &ManualAction),
    id: AttemptId,
    now: Timestamp,
) -> Result<Attempt, ManualError> {
    let to_version = match method {
        Method::Reinstall => action
            .version
            .clone()
            .or_else(|| situation.facts.current_version.clone()),
        Method::ConfigFix => None,
        _ => action.version.clone(),
    };
    if installs(method) && to_version.is_none() {
        return Err(ManualError::Malformed("say which version"));
    }
    let has_settings = action.config.as_ref().is_some_and(|config| !config.is_empty());
    if (method == Method::ConfigFix) != has_settings {
        return Err(ManualError::Malformed(
            "settings (config) belong to a config_fix, which needs at least one",
        ));
    }
    Ok(Attempt {
        id,
        incident_id: held.incident.id,
        plugin_id: held.incident.plugin_id,
        status: Status::Pending,
        origin: Origin::Person,
        method,
        from_version: situation.version.clone(),
        to_version,
        product: situation.product.clone(),
        release_digest: None,
        config: action.config.clone(),
        confidence: 1.0,
        impact: None,
        requires_approval: false,
        approvals: Vec::new(),
        staged: None,
        staging_tries: 0,
        command_id: None,
        order_ended_at: None,
        status_since: now,
        deadline_at: now,
    })
}
