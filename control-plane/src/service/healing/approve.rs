//! A person says yes to a cure that waits for it.

use jiff::Timestamp;
use plugmend_shared::ids::{AttemptId, Digest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    incident::about,
    people::{ManualError, Person},
};
use crate::{
    domain::{approval::Approval, attempt::Status},
    store::{self, Db, StoreError, audit::Actor},
};

/// What an approval came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approved {
    /// Always true.
    pub ok: bool,
    /// The attempt that was approved.
    pub attempt_id: AttemptId,
    /// Everybody who said yes.
    pub approved_by: Vec<Approval>,
    /// Whether that is enough.
    pub complete: bool,
}

/// Says yes to the cure of an incident that waits for it. Twice by the same person is once. `release` is what the person
/// looked at, where they say so.
///
/// # Errors
/// When nothing waits for it, or it has become another release.
pub async fn approve(
    db: &Db,
    who: &Person,
    incident_id: Uuid,
    release: Option<Digest>,
    now: Timestamp,
) -> Result<Approved, ManualError> {
    let mut tx = db.begin().await?;
    let attempt = store::attempt::lock_live_of(&mut tx, incident_id).await?;
    let held = store::incident::lock(&mut tx, incident_id)
        .await?
        .ok_or(ManualError::Unknown)?;
    let attempt = attempt
        .filter(|attempt| attempt.requires_approval && matches!(attempt.status, Status::Pending | Status::Staging))
        .ok_or(ManualError::NothingToApprove)?;
    if release.is_some() && release != attempt.release_digest {
        return Err(ManualError::OtherRelease);
    }
    let quorum = store::attempt::quorum_of(&mut tx, attempt.id).await?;
    let mut approvals = attempt.approvals.clone();
    for role in &who.roles {
        let approval = Approval {
            user_id: who.subject.clone(),
            role: *role,
            approved_at: now,
            release_digest: attempt.release_digest,
        };
        let is_new = |known: &Approval| {
            (&known.user_id, known.role, known.release_digest)
                != (&approval.user_id, approval.role, approval.release_digest)
        };
        if approvals.iter().all(is_new) {
            store::attempt::approve(&mut tx, attempt.id, &approval, now).await?;
            let details = json!({ "incident_id": incident_id, "attempt_id": attempt.id, "approval": approval });
            let actor = Actor::Ops(who.subject.clone());
            about(&held).audit(&mut tx, &actor, "attempt_approved", details).await?;
            approvals.push(approval);
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Approved {
        ok: true,
        attempt_id: attempt.id,
        complete: quorum.is_met(&approvals, attempt.release_digest.as_ref()),
        approved_by: approvals,
    })
}
