//! "What would this policy have done last week?": the questions of that time, asked again.
//!
//! What is asked again is each cure's first judgement, on the grounds that were kept with it. What the other policy would
//! have changed about later grounds (fewer cures at the same time, say) is not followed up.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    detect::Severity,
    ids::{AttemptId, MerchantId, PluginId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LONGEST_DRY_RUN_DAYS, PolicyError};
use crate::{
    domain::{
        attempt::Method,
        policy::{Outcome, Policy, PolicyChange, ShownReason, Verdict},
    },
    store::{
        self, Db,
        judgement::{Judgement, count_unjudged, page},
    },
};

/// The most judgements that one run looks at; the newest ones.
const MOST: u64 = 50_000;
/// How many are read at once.
const BATCH: i64 = 1000;

/// How often each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Counts {
    /// Went on by itself.
    pub allow: u64,
    /// Waited for people.
    pub needs_approval: u64,
    /// Not, or not then.
    pub refuse: u64,
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Allow => self.allow += 1,
            Outcome::NeedsApproval => self.needs_approval += 1,
            Outcome::Refuse => self.refuse += 1,
        }
    }
}

/// A judgement and its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Said {
    /// In one word.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<ShownReason>,
}

/// A cure about which the two policies differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Difference {
    /// Of which incident.
    pub incident_id: Uuid,
    /// What kind of incident.
    pub incident_type: String,
    /// How bad it was then.
    pub severity: Severity,
    /// On which plugin.
    pub plugin_id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// The attempt that was begun, if one was.
    pub attempt_id: Option<AttemptId>,
    /// How that stands now.
    pub attempt_status: Option<String>,
    /// What was wanted.
    pub method: Method,
    /// The version that would have been installed.
    #[schema(value_type = Option<String>)]
    pub to_version: Option<semver::Version>,
    /// When.
    pub judged_at: Timestamp,
    /// The version of the policy that counted then.
    pub policy_version: i64,
    /// What was said.
    pub was: Said,
    /// What would have been said.
    pub would_be: Said,
}

/// Where a page of differences ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The judgement's time.
    pub judged_at: Timestamp,
    /// The judgement.
    pub id: i64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRun {
    /// Judgements from then on were asked again.
    pub since: Timestamp,
    /// How many.
    pub judged: u64,
    /// Whether there were more, older ones.
    pub is_cut: bool,
    /// How many could not be asked again: what they rest on can not be read any more.
    pub unreadable: u64,
    /// Incidents of that time about which nothing was judged (the kill switch was thrown, it healed first, nothing was
    /// proposed), counted up to 50,000.
    pub not_judged: u64,
    /// What was said.
    pub was: Counts,
    /// What would have been said.
    pub would_be: Counts,
    /// About how many they differ.
    pub differ: u64,
    /// Those, newest first, one page of them.
    pub differences: Vec<Difference>,
    /// Where the next page begins.
    pub next: Option<Place>,
    /// The last of this page.
    last: Option<Place>,
}

/// Asks the policy, changed by `change`, about the judgements of the last `days` days.
///
/// # Errors
/// When the change can not be made, the time is too long, or the database fails.
pub async fn dry_run(
    db: &Db,
    change: &PolicyChange,
    days: u16,
    (after, limit): (Option<Place>, usize),
    now: Timestamp,
) -> Result<DryRun, PolicyError> {
    if !(1..=LONGEST_DRY_RUN_DAYS).contains(&days) {
        return Err(PolicyError::Days);
    }
    let stored = store::policy::view(db).await?.ok_or(PolicyError::Gone)?;
    let policy = Policy::from(change.apply(&stored.row)?);
    let since = now
        .checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
        .unwrap_or(Timestamp::MIN);
    let mut run = DryRun {
        since,
        judged: 0,
        is_cut: false,
        unreadable: 0,
        not_judged: 0,
        was: Counts::default(),
        would_be: Counts::default(),
        differ: 0,
        differences: Vec::new(),
        next: None,
        last: None,
    };
    let mut before = (Timestamp::MAX, i64::MAX);
    loop {
        let judgements = page(db, since, before, BATCH).await?;
        let is_last = i64::try_from(judgements.len()).is_ok_and(|count| count < BATCH);
        for judgement in judgements {
            if run.judged >= MOST {
                run.is_cut = true;
                break;
            }
            before = (judgement.judged_at, judgement.id);
            run.ask(&policy, judgement, (after, limit));
        }
        if is_last || run.is_cut {
            break;
        }
    }
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    run.not_judged = u64::try_from(count_unjudged(db, since, most).await?).unwrap_or(0);
    Ok(run)
}

impl DryRun {
    fn ask(&mut self, policy: &Policy, judgement: Judgement, (after, limit): (Option<Place>, usize)) {
        let Some(grounds) = &judgement.grounds else {
            self.unreadable += 1;
            return;
        };
        self.judged += 1;
        let verdict = grounds.judge(policy, judgement.judged_at);
        self.was.count(judgement.outcome);
        self.would_be.count(verdict.outcome());
        if verdict.outcome() == judgement.outcome {
            return;
        }
        self.differ += 1;
        let place = Place {
            judged_at: judgement.judged_at,
            id: judgement.id,
        };
        let is_on_page = after.is_none_or(|after| (place.judged_at, place.id) < (after.judged_at, after.id));
        if !is_on_page {
            return;
        }
        if self.differences.len() >= limit {
            self.next = self.last;
            return;
        }
        self.last = Some(place);
        self.differences.extend(difference(judgement, &verdict));
    }
}

fn difference(judgement: Judgement, verdict: &Verdict) -> Option<Difference> {
    let grounds = judgement.grounds?;
    Some(Difference {
        incident_id: judgement.incident_id,
        incident_type: judgement.incident_type,
        severity: grounds.severity,
        plugin_id: judgement.plugin_id,
        merchant_id: judgement.merchant_id,
        attempt_id: judgement.attempt_id,
        attempt_status: judgement.attempt_status,
        method: grounds.cure.method,
        to_version: grounds.cure.to_version,
        judged_at: judgement.judged_at,
        policy_version: judgement.policy_version,
        was: Said {
            outcome: judgement.outcome,
            reasons: judgement.reasons,
        },
        would_be: Said {
            outcome: verdict.outcome(),
            reasons: verdict.reasons(),
        },
    })
}
