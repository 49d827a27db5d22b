//! The one moment at which something outside is set in motion: the order is given and the attempt says so, in one
//! transaction that holds the policy.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{ids::CommandId, protocol::command::CommandPayload};

use super::{
    Healing, HealingError,
    cure::{self, goes_to_the_one_before},
    end::{self, End},
    incident::{approval_needed, escalate_for},
};
use crate::{
    domain::{
        attempt::{Attempt, Method, Origin, Status, order_kind},
        policy::{Policy, Reason, Verdict, judge_turn},
    },
    service::{
        approval::ask_about_cure,
        command::{GiveError, NewOrder, give_in},
    },
    store::{
        self, StoreError, Tx,
        attempt::{Lease, Step},
        audit::Actor,
        incident::Held,
    },
};

/// How long an order of the loop is good for, in seconds: what was right an hour ago may be wrong now.
const ORDER_LASTS_S: u64 = 3600;
/// How long one in line may leave between two looks.
const LONGEST_PAUSE_IN_LINE: SignedDuration = SignedDuration::from_mins(3);
/// How long a cure may wait for its turn.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

impl Healing {
    /// Judges once more, with the policy held, and gives the order.
    pub(super) async fn dispatch(&self, lease: Lease, now: Timestamp) -> Result<(), HealingError> {
        let mut tx = self.db.begin().await?;
        let mut policy = store::policy::load_in(&mut tx).await?;
        let Some(attempt) = lease.lock(&mut tx).await? else {
            return Ok(());
        };
        let Some(held) = store::incident::lock(&mut tx, attempt.incident_id).await? else {
            return Ok(());
        };
        let mut judged = cure::judge_attempt(&mut tx, &policy, &held.incident, &attempt, now).await?;
        if judged.verdict == Verdict::Allow {
            // The policy is held by who has the turn, never by those who wait for it: a line of them would keep the kill
            // switch out.
            let takes_turns = attempt.origin == Origin::Automatic;
            if takes_turns {
                store::attempt::lock_turn(&mut tx).await?;
            }
            let held_policy = store::policy::hold(&mut tx).await?;
            if held_policy != policy {
                policy = held_policy;
                judged = cure::judge_attempt(&mut tx, &policy, &held.incident, &attempt, now).await?;
            }
            if takes_turns && judged.verdict == Verdict::Allow {
                let changing = store::attempt::changing(&mut tx, attempt.id).await?;
                judged.verdict = judge_turn(&policy, changing, judged.grounds.plugin.fleet_size, now);
            }
        }
        if judged.verdict == Verdict::Allow {
            let before = goes_to_the_one_before(&attempt, judged.grounds.release.as_ref());
            let id = CommandId::from_parts(now, self.entropy.bytes()?);
            give_order(&mut tx, &policy, (&held, &attempt), before, id, now).await?;
        } else {
            hold_back(&mut tx, &policy, (&held, &attempt), &judged.verdict, now).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

async fn give_order(
    tx: &mut Tx,
    policy: &Policy,
    (held, attempt): (&Held, &Attempt),
    to_the_one_before: bool,
    id: CommandId,
    now: Timestamp,
) -> Result<(), HealingError> {
    let version = attempt
        .to_version
        .clone()
        .filter(|_| attempt.method != Method::ConfigFix && !to_the_one_before);
    let approvals = match store::approval::lock_live_of(tx, attempt.id).await? {
        Some(question) => store::approval::signatures(tx, question.id).await?,
        None => Vec::new(),
    };
    let order = NewOrder {
        kind: order_kind(attempt.method),
        payload: CommandPayload {
            release_digest: attempt.release_digest.filter(|_| version.is_some()),
            version,
            config: attempt.config.clone().filter(|_| attempt.method == Method::ConfigFix),
            reason: Some(format!("heals {}", held.incident.incident_type)),
            attempt_id: Some(attempt.id),
            expires_in_s: Some(ORDER_LASTS_S),
            health: Some(policy.health),
            approvals,
            ..CommandPayload::default()
        },
        max_retries: None,
    };
    let actor = actor(attempt);
    match give_in(tx, &actor, "sira", attempt.plugin_id, order, id, now).await {
        Ok(_) => {}
        Err(GiveError::Once(error)) => match error {
            crate::service::once::OnceError::Store(error) => return Err(error.into()),
            crate::service::once::OnceError::Reused => return Ok(()),
        },
        Err(refused) => {
            let end = End::failed("refused", refused.to_string());
            return Ok(end::end(tx, held, attempt, &end, now).await?);
        }
    }
    let step = Step {
        words: format!("the order {id} was given"),
        deadline_at: Status::Applying
            .lasts(false, policy.staging_timeout)
            .and_then(|lasts| now.checked_add(lasts).ok()),
        next_look_at: Some(now + super::follow::LISTEN),
        command_id: Some(id),
        ..Step::default()
    };
    end::step(tx, held, attempt, Status::Applying, &step, now).await?;
    Ok(())
}

/// What becomes of an attempt that may not be applied now.
pub(super) async fn hold_back(
    tx: &mut Tx,
    policy: &Policy,
    (held, attempt): (&Held, &Attempt),
    verdict: &Verdict,
    now: Timestamp,
) -> Result<(), HealingError> {
    match verdict {
        Verdict::Allow => {}
        Verdict::Refuse {
            reasons,
            again_at: Some(at),
        } => {
            let at = in_line(attempt, reasons, *at, now);
            let deadline = patience(policy, attempt, reasons, at);
            store::attempt::look_again(tx, attempt.id, at, (None, deadline), now).await?;
        }
        Verdict::Refuse {
            reasons,
            again_at: None,
        } => {
            let words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            end::end(tx, held, attempt, &End::failed("refused", words.join("; ")), now).await?;
        }
        Verdict::NeedsApproval { of, reasons } => {
            if !attempt.requires_approval {
                store::attempt::need_approval(tx, attempt.id, &approval_needed(of, reasons)).await?;
                escalate_for(tx, held, reasons, now).await?;
            }
            let lasts = Status::Pending.lasts(true, policy.staging_timeout).unwrap_or_default();
            let deadline = attempt.status_since.checked_add(lasts).unwrap_or(Timestamp::MAX);
            ask_about_cure(tx, (held, attempt), (of, reasons), deadline, now).await?;
            let words = (!attempt.requires_approval).then_some("people must say yes first");
            store::attempt::look_again(tx, attempt.id, deadline, (words, Some(deadline)), now).await?;
        }
    }
    Ok(())
}

/// When one that waits for its turn looks again: the longer the line, the longer it has waited, and the less often, so that
/// thousands in line do not keep everybody busy with asking.
fn in_line(attempt: &Attempt, reasons: &[Reason], at: Timestamp, now: Timestamp) -> Timestamp {
    if !matches!(reasons, [Reason::FleetChanging]) {
        return at;
    }
    let pause = (now.duration_since(attempt.status_since) / 4).min(LONGEST_PAUSE_IN_LINE);
    at.max(now.checked_add(pause).unwrap_or(now))
}

/// Until when an attempt may wait for what passes by itself: its turn, its rest, its merchant's hours. Those are no reason
/// to call people before a day is over; the kill switch, after a while, is.
fn patience(policy: &Policy, attempt: &Attempt, reasons: &[Reason], at: Timestamp) -> Option<Timestamp> {
    if reasons.contains(&Reason::AutopatchDisabled) {
        return None;
    }
    let lasts = attempt.status.lasts(false, policy.staging_timeout)?;
    let longest = attempt.status_since.checked_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX);
    let waits_for_hours = reasons
        .iter()
        .any(|reason| matches!(reason, Reason::OutsideMaintenanceWindow { .. }));
    let until = at.checked_add(lasts).unwrap_or(Timestamp::MAX);
    Some(if waits_for_hours {
        until
    } else {
        until.min(longest.max(attempt.deadline_at))
    })
}

/// Who an attempt's steps are done by.
pub(super) fn actor(attempt: &Attempt) -> Actor {
    match attempt.origin {
        Origin::Automatic => Actor::Sira,
        Origin::Person => Actor::System,
    }
}
