//! Brings events to their receivers: spread over lanes, one lane a receiver, so that a slow one holds up itself alone.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use plugmend_shared::clock::Clock;
use serde_json::json;

use super::{Entropy, secret_box::SecretBox};
use crate::{
    domain::delivery::{Outcome, RESTS_FROM, RetryPolicy, rest},
    notify::{Message, Sender, Tried},
    store::{
        self, Db, StoreError,
        delivery::{Due, Lane, Next},
        webhook::Target,
    },
};

/// Events spread at once.
const SPREAD: i64 = 500;
/// What one receiver is sent at once.
const AT_ONCE: i64 = 4;
/// How long a lane is worked in before others get their turn.
const TURN: std::time::Duration = std::time::Duration::from_secs(30);
/// How long a lane is held at most: a turn, and one round of tries at both addresses.
const LEASE: SignedDuration = SignedDuration::from_secs(90);
/// The longest error that is kept, in bytes.
const MAX_ERROR: usize = 500;

/// Sends events.
#[derive(Clone)]
pub struct Deliverer {
    db: Db,
    sender: Sender,
    secrets: SecretBox,
    entropy: Entropy,
    clock: Arc<dyn Clock>,
}

impl Deliverer {
    /// Over a database.
    pub fn new(db: Db, sender: Sender, secrets: SecretBox, entropy: Entropy, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            sender,
            secrets,
            entropy,
            clock,
        }
    }

    /// Makes the deliveries of fresh events; how many events, and whether there may be more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn spread(&self, now: Timestamp) -> Result<(u64, bool), StoreError> {
        let spread = store::delivery::spread(&self.db, now, SPREAD).await?;
        Ok((spread, spread >= SPREAD.unsigned_abs()))
    }

    /// Takes at most `most` lanes where something is due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_lanes(&self, now: Timestamp, most: usize) -> Result<Vec<Lane>, StoreError> {
        let lease_ends = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        store::delivery::take_lanes(&self.db, now, lease_ends, i64::try_from(most).unwrap_or(i64::MAX)).await
    }

    /// Encrypts secrets that the reference system stored in the clear; how many.
    ///
    /// # Errors
    /// When the database or the randomness fails.
    pub async fn seal_secrets(&self) -> anyhow::Result<usize> {
        let found = store::webhook::in_the_clear(&self.db, 100).await?;
        for (id, secret) in &found {
            let sealed = self.secrets.seal(*id, secret, &self.entropy)?;
            store::webhook::replace_secret(&self.db, *id, secret, &sealed).await?;
        }
        Ok(found.len())
    }

    /// Sends what is due in a lane, for one turn, and gives it back.
    ///
    /// # Errors
    /// When the database fails; the lane is free again when its lease ends.
    pub async fn work(&self, lane: Lane) -> Result<(), StoreError> {
        let Some(target) = store::webhook::target(&self.db, lane.webhook_id).await? else {
            return self.close(&lane, "the receiver was removed").await;
        };
        if target.status == "disabled" {
            return self.close(&lane, "the receiver is disabled").await;
        }
        let began = Instant::now();
        let mut failures = lane.failures;
        let mut rests_until = None;
        while began.elapsed() < TURN {
            // One that may still be away gets one to show whether it is.
            let at_once = if failures >= RESTS_FROM { 1 } else { AT_ONCE };
            let due = store::delivery::due(&self.db, lane.webhook_id, self.clock.now(), at_once).await?;
            if due.is_empty() {
                break;
            }
            let tries = join_all(due.iter().map(|one| self.send(&lane, &target, one))).await;
            for (one, tried) in due.iter().zip(&tries) {
                if tried.outcome == Outcome::Gone {
                    return self.gone(&lane, one, tried).await;
                }
                let taken = matches!(tried.outcome, Outcome::Taken { .. });
                failures = if taken { 0 } else { failures.saturating_add(1) };
                self.record(&lane, &target, one, tried).await?;
            }
            if let Some(pause) = rest(failures) {
                rests_until = self.clock.now().checked_add(pause).ok();
                break;
            }
        }
        store::delivery::give_back(&self.db, &lane, failures, rests_until).await
    }

    /// Sends one, to the other address too when the first fails.
    async fn send(&self, lane: &Lane, target: &Target, due: &Due) -> Tried {
        let Ok(secret) = self.secrets.open(lane.webhook_id, &target.secret) else {
            return Tried {
                outcome: Outcome::Failed {
                    status: None,
                    why: "the receiver's secret can not be decrypted".to_owned(),
                },
                took: std::time::Duration::ZERO,
            };
        };
        let message = message(due, self.clock.now());
        let first = self.sender.send(&target.url, &secret, &message).await;
        match (&first.outcome, &target.failover_url) {
            (Outcome::Failed { .. }, Some(other)) => {
                let second = self.sender.send(other, &secret, &message).await;
                if matches!(second.outcome, Outcome::Taken { .. }) {
                    second
                } else {
                    first
                }
            }
            _ => first,
        }
    }

    async fn record(&self, lane: &Lane, target: &Target, due: &Due, tried: &Tried) -> Result<(), StoreError> {
        let now = self.clock.now();
        let policy = RetryPolicy::read(&target.retry_config);
        let random = u32::from_be_bytes(self.entropy.bytes().unwrap_or_default());
        let (next, status, why) = match &tried.outcome {
            Outcome::Taken { status } => (Next::Delivered, Some(*status), None),
            Outcome::Gone => (Next::Dead, Some(410), Some("gone")),
            Outcome::Failed { status, why } => {
                let pause = policy.after(due.attempts.saturating_add(1), random);
                let next = pause.map_or(Next::Dead, |pause| {
                    Next::Again(now.checked_add(pause).unwrap_or(Timestamp::MAX))
                });
                (next, *status, Some(why.as_str()))
            }
        };
        let word = match next {
            Next::Delivered => Some("active"),
            Next::Dead => Some("error"),
            Next::Again(_) => None,
        };
        let mut tx = self.db.begin().await?;
        let why = why.map(|why| &why[..why.floor_char_boundary(MAX_ERROR)]);
        match store::delivery::tried(&mut tx, due, next, (status, why), now).await {
            // Another worker was faster after our lease had ended: its word stands.
            Err(StoreError::Stale { .. }) => return Ok(()),
            done => done?,
        }
        let took_ms = i32::try_from(tried.took.as_millis()).ok().filter(|_| status.is_some());
        let taken = next == Next::Delivered;
        store::webhook::tried(&mut tx, lane.webhook_id, took_ms, word, taken, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The receiver wants nothing more.
    async fn gone(&self, lane: &Lane, due: &Due, tried: &Tried) -> Result<(), StoreError> {
        tracing::info!(webhook = %lane.webhook_id, event = %due.event_id, took = ?tried.took, "a receiver is gone");
        let mut tx = self.db.begin().await?;
        store::webhook::set_status(&mut tx, lane.webhook_id, "disabled").await?;
        tx.commit().await?;
        self.close(lane, "the receiver answered 410: it wants nothing more")
            .await
    }

    async fn close(&self, lane: &Lane, why: &str) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        store::delivery::end_all(&mut tx, lane.webhook_id, why, self.clock.now()).await?;
        tx.commit().await?;
        store::delivery::give_back(&self.db, lane, 0, None).await
    }
}

/// What is sent: the event's own time in the body, this try's in the signature.
fn message(due: &Due, now: Timestamp) -> Message {
    let mut data = due.data.clone();
    if let Some(fields) = data.as_object_mut() {
        for (name, id) in [("merchant_id", due.merchant_id), ("plugin_id", due.plugin_id)] {
            if let Some(id) = id {
                fields.entry(name).or_insert_with(|| json!(id));
            }
        }
    }
    let body = json!({ "type": due.kind, "timestamp": due.at, "data": data });
    Message {
        id: format!("msg_{}", due.event_id.simple()),
        timestamp: now.as_second(),
        body: Bytes::from(body.to_string()),
    }
}
