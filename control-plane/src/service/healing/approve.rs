//! A person says yes to a cure that waits for it, or no.

use jiff::Timestamp;
use plugmend_shared::ids::{AttemptId, Digest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    end::{self, End},
    people::{ManualError, Person},
};
use crate::{
    domain::{
        approval::{Approval, Refused, Standing},
        attempt::{Attempt, Status},
    },
    service::approval::{ApprovalError, Asked, LookedAt, ask_about_cure, quorum_kept, say_yes},
    store::{self, Db, StoreError, Tx, incident::Held},
};

/// Why an attempt ended that somebody said no to, and why its incident is with people then.
const REJECTED: &str = "rejected_by_people";

/// What an approval came to.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
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
/// When nothing waits for it, it has become another release, or the person has no say.
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
    let attempt_id = attempt.id;
    let mut asked = question(&mut tx, held, attempt, now).await?;
    match say_yes(&mut tx, who, &mut asked, LookedAt::default(), (None, None), now).await {
        // Saying it again is no harm.
        Ok(()) | Err(ApprovalError::Refused(Refused::Twice | Refused::Over(Standing::Approved))) => {}
        Err(ApprovalError::Refused(refused)) => return Err(refused.into()),
        Err(ApprovalError::Store(error)) => return Err(error.into()),
        Err(ApprovalError::Unknown | ApprovalError::Comment | ApprovalError::Signature(_) | ApprovalError::Repo(_)) => {
            return Err(ManualError::NothingToApprove);
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    let request = &asked.question.request;
    Ok(Approved {
        ok: true,
        attempt_id,
        approved_by: request.approvals(),
        complete: request.standing == Standing::Approved,
    })
}

/// The question about a cure that waits; asked now where nobody was asked yet.
async fn question(tx: &mut Tx, held: Held, attempt: Attempt, now: Timestamp) -> Result<Asked, ManualError> {
    if store::approval::lock_live_of(tx, attempt.id).await?.is_none() {
        let of = quorum_kept(tx, &attempt).await?;
        ask_about_cure(tx, (&held, &attempt), (&of, &[]), attempt.deadline_at, now).await?;
    }
    let question = store::approval::lock_live_of(tx, attempt.id)
        .await?
        .ok_or(ManualError::NothingToApprove)?;
    Ok(Asked {
        question,
        cure: Some((attempt, held)),
    })
}

/// Calls a cure off that somebody said no to; the incident is with people, and says why.
///
/// # Errors
/// When the database fails, or the attempt is over.
pub async fn rejected(
    tx: &mut Tx,
    held: &Held,
    attempt: &Attempt,
    words: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !matches!(attempt.status, Status::Pending | Status::Staging) {
        return Err(StoreError::Stale { what: "the attempt" });
    }
    let end = End::cancelled(REJECTED, words).escalating();
    end::end(tx, held, attempt, &end, now).await?;
    let reason = format!("{REJECTED}: {words}");
    store::incident::keep_reason(tx, held.incident.id, &reason).await
}
