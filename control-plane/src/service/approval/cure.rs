//! Questions about cures.

use jiff::Timestamp;
use plugmend_shared::ids::AttemptId;
use serde_json::json;

use super::{audit, end};
use crate::{
    domain::{
        approval::{Quorum, Request, Standing},
        attempt::{Attempt, Origin},
        policy::{Reason, ShownReason},
    },
    store::{
        self, StoreError, Tx,
        approval::{NewQuestion, Question, Subject},
        audit::Actor,
        incident::Held,
    },
};

/// An attempt and its incident, held; none when they are gone.
pub async fn hold(tx: &mut Tx, id: AttemptId) -> Result<Option<(Attempt, Held)>, StoreError> {
    let Some(attempt) = store::attempt::lock(tx, id).await? else {
        return Ok(None);
    };
    let held = store::incident::lock(tx, attempt.incident_id).await?;
    Ok(held.map(|held| (attempt, held)))
}

/// Sees to it that people are asked about a cure that is held: once, for as long as it is the same cure, and for as many as
/// the policy wants by now.
///
/// # Errors
/// When the database fails.
pub async fn ask_about_cure(
    tx: &mut Tx,
    (held, attempt): (&Held, &Attempt),
    (of, reasons): (&Quorum, &[Reason]),
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let content = attempt.content();
    if let Some(mut live) = store::approval::lock_live_of(tx, attempt.id).await? {
        if live.request.content == content {
            return again(tx, &mut live, of, expires_at, now).await;
        }
        end(tx, &mut live, Standing::Void, "what would be done has changed", now).await?;
    }
    let wanted_by = store::attempt::wanted_by(tx, attempt.id).await?;
    let request = Request {
        standing: Standing::Pending,
        quorum: of.clone(),
        release: attempt.release_digest,
        content,
        wanted_by: (attempt.origin == Origin::Person).then(|| wanted_by.clone()),
        expires_at,
        yes: Vec::new(),
    };
    let subject = Subject::Attempt {
        id: attempt.id,
        incident_id: attempt.incident_id,
    };
    let new = NewQuestion {
        subject: subject.clone(),
        merchant_id: held.merchant_id,
        plugin_id: attempt.plugin_id,
        action: attempt.method.as_str(),
        product: attempt.product.as_ref().map(plugmend_shared::ids::Product::as_str),
        version: attempt.to_version.as_ref().map(ToString::to_string),
        wanted_by: &wanted_by,
        why: None,
        reasons: reasons.iter().map(ShownReason::from).collect(),
        request: &request,
    };
    let id = store::approval::insert(tx, &new, now).await?;
    let actor = match attempt.origin {
        Origin::Automatic => Actor::Sira,
        Origin::Person => Actor::Ops(wanted_by.clone()),
    };
    let question = Question {
        id,
        subject,
        merchant_id: held.merchant_id,
        plugin_id: attempt.plugin_id,
        wanted_by,
        request,
    };
    let details = json!({ "quorum": of, "reasons": reasons, "content_digest": content });
    audit(tx, &actor, &question, "approval_requested", details).await
}

async fn again(
    tx: &mut Tx,
    live: &mut Question,
    of: &Quorum,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let was = live.request.standing;
    if !live.request.ask(of, expires_at) {
        return Ok(());
    }
    store::approval::save(tx, live, None, now).await?;
    if was == live.request.standing {
        return Ok(());
    }
    let details = json!({ "quorum": of, "why": "the policy asks for more people by now" });
    audit(tx, &Actor::System, live, "approval_reopened", details).await
}

/// Who must say yes to a cure, as it was kept when it was found out; for cures that nobody was asked about in so many words.
///
/// # Errors
/// When the database fails.
pub async fn quorum_kept(tx: &mut Tx, attempt: &Attempt) -> Result<Quorum, StoreError> {
    store::attempt::quorum_of(tx, attempt.id).await
}
