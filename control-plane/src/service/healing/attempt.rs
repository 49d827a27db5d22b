//! One look at one attempt.

use jiff::Timestamp;

use super::{
    Healing, HealingError, cure,
    dispatch::hold_back,
    end::{self, End},
    is_overtaken,
};
use crate::{
    domain::{
        attempt::{Attempt, Origin, Status, stages},
        incident,
        policy::Verdict,
    },
    store::{
        self, StoreError,
        attempt::{Lease, Step},
        incident::Held,
    },
};

enum Next {
    Done,
    Stage,
    Dispatch,
}

impl Healing {
    /// Looks at an attempt that was claimed, and takes it one step further; whether what is left to do is a run in the
    /// sandbox ([`Healing::try_out`]), which takes a while.
    ///
    /// # Errors
    /// When the database fails; nothing was done then.
    pub async fn look_at_attempt(&self, lease: Lease) -> Result<bool, HealingError> {
        let looked = match self.next_step(lease, self.clock.now()).await {
            Ok(Next::Done) => Ok(false),
            Ok(Next::Stage) => Ok(true),
            Ok(Next::Dispatch) => self.dispatch(lease, self.clock.now()).await.map(|()| false),
            Err(error) => Err(error),
        };
        match looked {
            Err(error) if is_overtaken(&error) => Ok(false),
            other => other,
        }
    }

    /// Has the release of an attempt that is claimed tried out, and goes on with what came of it.
    ///
    /// # Errors
    /// When the database fails; the run is made again then.
    pub async fn try_out(&self, lease: Lease) -> Result<(), HealingError> {
        match self.stage(lease).await {
            Err(error) if is_overtaken(&error) => Ok(()),
            other => other,
        }
    }

    async fn next_step(&self, lease: Lease, now: Timestamp) -> Result<Next, HealingError> {
        let mut tx = self.db.begin().await?;
        let policy = store::policy::load_in(&mut tx).await?;
        let Some(attempt) = lease.lock(&mut tx).await? else {
            return Ok(Next::Done);
        };
        let Some(held) = store::incident::lock(&mut tx, attempt.incident_id).await? else {
            return Ok(Next::Done);
        };
        if let Some(end) = obsolete(&attempt, &held, now) {
            end::end(&mut tx, &held, &attempt, &end, now).await?;
            tx.commit().await.map_err(StoreError::from)?;
            return Ok(Next::Done);
        }
        let next = match attempt.status {
            Status::Pending => {
                let judged = cure::judge_attempt(&mut tx, &policy, &held.incident, &attempt, now).await?;
                if judged.verdict != Verdict::Allow {
                    hold_back(&mut tx, &policy, (&held, &attempt), &judged.verdict, now).await?;
                    Next::Done
                } else if policy.require_staging && stages(attempt.method) {
                    let step = Step {
                        words: "the release is tried in the sandbox".to_owned(),
                        deadline_at: Status::Staging
                            .lasts(false, policy.staging_timeout)
                            .and_then(|lasts| now.checked_add(lasts).ok()),
                        next_look_at: Some(now),
                        ..Step::default()
                    };
                    end::step(&mut tx, &held, &attempt, Status::Staging, &step, now).await?;
                    lease.keep(&mut tx, now).await?;
                    Next::Stage
                } else {
                    Next::Dispatch
                }
            }
            Status::Staging if attempt.staged == Some(true) => Next::Dispatch,
            Status::Staging => Next::Stage,
            Status::Applying => {
                self.follow(&mut tx, &held, &attempt, now).await?;
                Next::Done
            }
            _ => Next::Done,
        };
        tx.commit().await.map_err(StoreError::from)?;
        Ok(next)
    }
}

/// Whether an attempt has nothing left to do, or has taken too long.
fn obsolete(attempt: &Attempt, held: &Held, now: Timestamp) -> Option<End> {
    let has_begun = attempt.status == Status::Applying;
    if !has_begun && held.incident.status == incident::Status::Closed {
        return Some(End::cancelled("recovered", "the incident is over"));
    }
    if !has_begun && !held.still_ill && attempt.origin == Origin::Automatic {
        return Some(End::cancelled("recovered", "the plugin healed by itself"));
    }
    if now < attempt.deadline_at {
        return None;
    }
    Some(match attempt.status {
        Status::Pending | Status::Staging if attempt.requires_approval => {
            End::cancelled("not_approved", "nobody approved it in time").escalating()
        }
        Status::Applying => End::failed("unknown", "nothing was heard of its order in time").escalating(),
        _ => End::failed("took_too_long", "it could not be begun in time").escalating(),
    })
}
