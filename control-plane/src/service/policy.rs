//! The policy: read, changed with a reason, and tried on what was.

mod dry_run;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::once::{self, OnceError, OnceKey};
use crate::{
    domain::policy::{BadChange, PolicyChange, PolicyRow},
    store::{self, Db, StoreError, policy::Stored},
};

pub use dry_run::{Counts, Difference, DryRun, Place, Said, dry_run};

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 1000;
/// How far a dry run may reach back, in days.
pub const LONGEST_DRY_RUN_DAYS: u16 = 31;
/// How long judgements are kept for it.
pub const JUDGEMENTS_LAST: SignedDuration = SignedDuration::from_hours(24 * (LONGEST_DRY_RUN_DAYS as i64 + 1));

/// The policy as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PolicyView {
    /// Grows with each change; the `ETag` is this number.
    pub version: i64,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: Option<String>,
    /// What it says: the columns of `ops_policy`, in their units.
    pub policy: PolicyRow,
}

impl From<Stored> for PolicyView {
    fn from(stored: Stored) -> Self {
        Self {
            version: stored.version,
            updated_at: stored.updated_at,
            updated_by: stored.updated_by,
            policy: stored.row,
        }
    }
}

/// Why it was not done.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// A field can not be so.
    #[error(transparent)]
    Bad(#[from] BadChange),
    /// Nothing is said about why.
    #[error("say why, in 1 to {LONGEST_REASON} bytes")]
    NoReason,
    /// Nothing would be changed.
    #[error("the policy says so already")]
    Nothing,
    /// It is not what was looked at.
    #[error("the policy is version {now} by now; read it again")]
    Overtaken {
        /// What it is.
        now: i64,
    },
    /// Somebody deleted it.
    #[error("there is no policy: nothing is done by itself until 'INSERT INTO ops_policy (id) VALUES (1)'")]
    Gone,
    /// A dry run of no time, or of too long a time.
    #[error("a dry run covers 1 to {LONGEST_DRY_RUN_DAYS} days")]
    Days,
    /// The key is of no use, or the database failed.
    #[error(transparent)]
    Once(#[from] OnceError),
}

impl From<StoreError> for PolicyError {
    fn from(error: StoreError) -> Self {
        Self::Once(OnceError::Store(error))
    }
}

/// The policy as it is now.
///
/// # Errors
/// When there is none, or the database fails.
pub async fn view(db: &Db) -> Result<PolicyView, PolicyError> {
    Ok(store::policy::view(db).await?.ok_or(PolicyError::Gone)?.into())
}

/// Changes the policy, provided that it is still at the version that was looked at. History and audit entry are kept in the
/// same transaction.
///
/// # Errors
/// When it is not, or the change can not be made.
pub async fn change(
    db: &Db,
    who: &str,
    (change, reason): (&PolicyChange, &str),
    seen: i64,
    key: Option<&OnceKey>,
    now: Timestamp,
) -> Result<PolicyView, PolicyError> {
    let reason = said(reason)?;
    let mut tx = db.begin().await?;
    if let Some(done) = once::before(&mut tx, key).await? {
        return Ok(done);
    }
    let was = store::policy::lock(&mut tx).await?.ok_or(PolicyError::Gone)?;
    if was.version != seen {
        return Err(PolicyError::Overtaken { now: was.version });
    }
    let is = change.apply(&was.row)?;
    if is == was.row {
        return Err(PolicyError::Nothing);
    }
    store::policy::write(&mut tx, &is, who, reason).await?;
    let view: PolicyView = store::policy::lock(&mut tx).await?.ok_or(PolicyError::Gone)?.into();
    once::after(&mut tx, key, &view, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(view)
}

/// Throws the kill switch (`stopped`) or sets it back, whatever was read before. Doing so twice is doing so once.
///
/// # Errors
/// When nothing is said about why, or the database fails.
pub async fn throw_switch(db: &Db, who: &str, stopped: bool, reason: &str) -> Result<PolicyView, PolicyError> {
    let reason = said(reason)?;
    let mut tx = db.begin().await?;
    store::policy::set_enabled(&mut tx, !stopped, who, reason).await?;
    let view = store::policy::lock(&mut tx).await?.ok_or(PolicyError::Gone)?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(view.into())
}

fn said(reason: &str) -> Result<&str, PolicyError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        return Err(PolicyError::NoReason);
    }
    Ok(reason)
}
