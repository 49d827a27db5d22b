//! What keeps tables from growing without end.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::runner::{Activation, Reconciler};
use crate::{
    domain::heartbeat::OLDEST_WINDOW,
    service::policy::JUDGEMENTS_LAST,
    store::{self, Db, StoreError},
};

const HOURLY: Duration = Duration::from_hours(1);
/// How far ahead partitions are made: a weekend with nobody looking, and the tolerated skew.
const AHEAD: SignedDuration = SignedDuration::from_hours(4 * 24);
const DROP_AT_ONCE: u32 = 10;
/// How long an answer is kept for repeats of its request.
const ANSWERS_LAST: SignedDuration = SignedDuration::from_hours(24);
const FORGET_AT_ONCE: u16 = 1000;
/// How long enrolment tokens are kept once they are of no use, and certificates behind the end of their grace: what
/// they were good for stands in the audit trail.
const IDENTITIES_LAST: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Makes the partitions of telemetry ahead of time and drops the old ones.
pub struct TelemetryPartitions {
    db: Db,
    keep: SignedDuration,
}

impl TelemetryPartitions {
    /// Keeps telemetry for `keep_days` days.
    pub fn new(db: Db, keep_days: u16) -> Self {
        Self {
            db,
            keep: SignedDuration::from_hours(24 * i64::from(keep_days)),
        }
    }
}

#[async_trait]
impl Reconciler for TelemetryPartitions {
    fn name(&self) -> &'static str {
        "telemetry partitions"
    }

    fn every(&self) -> Duration {
        HOURLY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let first = now.checked_sub(OLDEST_WINDOW)?;
        let made = store::telemetry::ensure_partitions(&self.db, first, now.checked_add(AHEAD)?).await?;
        let oldest = now.checked_sub(self.keep)?.min(first);
        let dropped = store::telemetry::drop_partitions(&self.db, oldest, DROP_AT_ONCE).await?;
        Ok(Activation {
            done: u64::from(made + dropped),
            more: dropped == DROP_AT_ONCE,
        })
    }
}

/// Forgets the answers kept under `Idempotency-Key`s once nobody will ask for them again.
pub struct ForgetAnswers {
    db: Db,
}

impl ForgetAnswers {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl Reconciler for ForgetAnswers {
    fn name(&self) -> &'static str {
        "kept answers"
    }

    fn every(&self) -> Duration {
        HOURLY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let before = now.checked_sub(ANSWERS_LAST)?;
        let mut tx = self.db.begin().await?;
        let forgotten = store::idempotency::forget(&mut tx, before, i64::from(FORGET_AT_ONCE)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Activation {
            done: forgotten,
            more: forgotten == u64::from(FORGET_AT_ONCE),
        })
    }
}

/// Forgets judgements once no dry run of a policy reaches back to them.
pub struct ForgetJudgements {
    db: Db,
}

impl ForgetJudgements {
    /// Over a database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl Reconciler for ForgetJudgements {
    fn name(&self) -> &'static str {
        "old judgements"
    }

    fn every(&self) -> Duration {
        HOURLY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let before = now.checked_sub(JUDGEMENTS_LAST)?;
        let forgotten = store::judgement::forget(&self.db, before, i64::from(FORGET_AT_ONCE)).await?;
        Ok(Activation {
            done: forgotten,
            more: forgotten == u64::from(FORGET_AT_ONCE),
        })
    }
}

/// Forgets enrolment tokens and certificates that have long been of no use.
pub struct ForgetIdentities {
    db: Db,
    grace: SignedDuration,
}

impl ForgetIdentities {
    /// Certificates may be renewed for `grace` after their end.
    pub fn new(db: Db, grace: SignedDuration) -> Self {
        Self { db, grace }
    }
}

#[async_trait]
impl Reconciler for ForgetIdentities {
    fn name(&self) -> &'static str {
        "old identities"
    }

    fn every(&self) -> Duration {
        HOURLY
    }

    async fn activate(&self, now: Timestamp) -> anyhow::Result<Activation> {
        let limit = i64::from(FORGET_AT_ONCE);
        let before = now.checked_sub(IDENTITIES_LAST)?;
        let mut tx = self.db.begin().await?;
        let tokens = store::enrolment_token::forget(&mut tx, before, limit).await?;
        let certificates = store::certificate::forget_ended(&mut tx, before.checked_sub(self.grace)?, limit).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Activation {
            done: tokens + certificates,
            more: tokens.max(certificates) == u64::from(FORGET_AT_ONCE),
        })
    }
}
