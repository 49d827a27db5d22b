//! A run in the sandbox: nothing is held while it lasts but the claim.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Healing, HealingError,
    end::{self, End},
    incident::about,
};
use crate::{
    domain::attempt::{Attempt, Fault, Status},
    staging::{StagingError, StagingRequest, StagingResult},
    store::{self, StoreError, attempt::Lease, audit::Actor},
};

/// The first pause after a sandbox that could not be had; it doubles up to a minute.
const FIRST_PAUSE_S: i64 = 5;
/// The longest pause that a runner may ask for.
const LONGEST_PAUSE_S: i64 = 300;
/// How long a cure may wait for room at the runner.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// What one that waits is given from each try on: a run of the longest limit, and the way.
const LONGEST_RUN: SignedDuration = SignedDuration::from_mins(65);
/// When one for which there was no place asks again.
const ROOM_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// How often the claim on an attempt is renewed while its tests run: whoever dies meanwhile is relieved within a minute.
const RENEW: Duration = Duration::from_secs(15);

impl Healing {
    /// Tries the release of an attempt out. A run that was cut short by our own death is simply run again: it touches no
    /// shop.
    pub(super) async fn stage(&self, lease: Lease) -> Result<(), HealingError> {
        let policy = store::policy::load(&self.db).await?;
        let Some(request) = self.request(lease).await? else {
            return Ok(());
        };
        let limit = policy.staging_timeout.unsigned_abs();
        let outcome = match &self.staging {
            Some(runner) => {
                let run = runner.run(&request, limit);
                tokio::pin!(run);
                loop {
                    tokio::select! {
                        outcome = &mut run => break outcome,
                        () = tokio::time::sleep(RENEW) => {
                            // Should it not succeed, somebody else runs the tests as well: that costs time only.
                            if let Err(error) = lease.renew(&self.db, self.clock.now()).await {
                                tracing::debug!(attempt = %lease.id, error = %error, "the claim was not renewed");
                            }
                        }
                    }
                }
            }
            None => Err(StagingError::NotBelieved(
                "there is no staging runner: set STAGING_RUNNER_URL, or require_staging_test to false".to_owned(),
            )),
        };
        let now = self.clock.now();
        if self.note(lease, &outcome, now).await? {
            self.dispatch(lease, now).await?;
        }
        Ok(())
    }

    /// Leaves an attempt for later whose turn in the sandbox has not come: every place is taken.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wait_for_room(&self, lease: Lease) -> Result<(), HealingError> {
        let mut tx = self.db.begin().await?;
        if let Some(attempt) = lease.lock(&mut tx).await? {
            let now = self.clock.now();
            let at = now.checked_add(ROOM_AGAIN).unwrap_or(Timestamp::MAX);
            let deadline = with_room_late(&attempt, now);
            store::attempt::look_again(&mut tx, attempt.id, at, (None, Some(deadline)), now).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    async fn request(&self, lease: Lease) -> Result<Option<StagingRequest>, HealingError> {
        let mut tx = self.db.begin().await?;
        let Some(attempt) = lease.lock(&mut tx).await? else {
            return Ok(None);
        };
        let Some(held) = store::incident::lock(&mut tx, attempt.incident_id).await? else {
            return Ok(None);
        };
        Ok(match (attempt.product, attempt.to_version) {
            (Some(product), Some(version)) => Some(StagingRequest {
                merchant_id: held.merchant_id,
                plugin_id: attempt.plugin_id,
                product,
                version,
                release_digest: attempt.release_digest,
            }),
            _ => None,
        })
    }

    /// Keeps what came out; whether the order may be given.
    async fn note(
        &self,
        lease: Lease,
        outcome: &Result<StagingResult, StagingError>,
        now: Timestamp,
    ) -> Result<bool, HealingError> {
        let mut tx = self.db.begin().await?;
        let Some(attempt) = lease.lock(&mut tx).await? else {
            return Ok(false);
        };
        let Some(held) = store::incident::lock(&mut tx, attempt.incident_id).await? else {
            return Ok(false);
        };
        if attempt.status != Status::Staging {
            return Ok(false);
        }
        let passed = match outcome {
            Ok(result) if result.passed => {
                store::attempt::keep_staging(&mut tx, attempt.id, &result.for_attempt(), now).await?;
                let details = json!({ "attempt_id": attempt.id, "result": result.for_attempt() });
                about(&held)
                    .audit(&mut tx, &Actor::Sira, "attempt_staged", details)
                    .await?;
                true
            }
            Ok(result) => {
                let words = format!("the sandbox refused the release: {}", first(&result.errors));
                let end = End::failed("staging_failed", words).staged(result.for_attempt());
                // Where no test was run, nothing is known of the release that would hold elsewhere.
                let fault = if result.tests_run > 0 {
                    Fault::Release
                } else {
                    Fault::Host
                };
                end::end(&mut tx, &held, &attempt, &end.blaming(fault), now).await?;
                false
            }
            Err(error) if error.is_transient() => {
                again_later(&mut tx, &attempt, error, now).await?;
                false
            }
            Err(error) => {
                let end = End::failed("staging_unavailable", format!("{error}")).escalating();
                end::end(&mut tx, &held, &attempt, &end, now).await?;
                false
            }
        };
        tx.commit().await.map_err(StoreError::from)?;
        Ok(passed)
    }
}

/// Until when an attempt may wait that found no room. It has not used up its own time: that is no reason to call people
/// before a day is over.
fn with_room_late(attempt: &Attempt, now: Timestamp) -> Timestamp {
    let until = attempt.status_since.checked_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX);
    let next = now.checked_add(LONGEST_RUN).unwrap_or(Timestamp::MAX);
    next.min(until).max(attempt.deadline_at)
}

async fn again_later(
    tx: &mut store::Tx,
    attempt: &Attempt,
    error: &StagingError,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut pause = (FIRST_PAUSE_S << attempt.staging_tries.min(6)).min(60);
    let mut deadline = None;
    if let StagingError::Busy { retry_after } = error {
        let asked = retry_after.and_then(|after| i64::try_from(after.as_secs()).ok());
        pause = pause.max(asked.unwrap_or(0).min(LONGEST_PAUSE_S));
        deadline = Some(with_room_late(attempt, now));
    }
    store::attempt::count_staging_try(tx, attempt.id).await?;
    let at = now
        .checked_add(SignedDuration::from_secs(pause))
        .unwrap_or(Timestamp::MAX);
    let words = format!("{error}; trying again in {pause} s");
    store::attempt::look_again(tx, attempt.id, at, (Some(&words), deadline), now).await
}

fn first(errors: &[String]) -> &str {
    errors.first().map_or("no reason was given", String::as_str)
}
