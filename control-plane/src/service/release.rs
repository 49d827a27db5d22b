//! Releases: published, blocked, and looked up for orders.

use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use plugmend_shared::{
    bundle::manifest::{Impact, Manifest, Undo},
    ids::{Digest, PluginId, Product},
    tuf::product::SignedRelease,
};
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    repo::{KnownReleases, RepoError, Repository, Submission},
    store::{
        self, Db, StoreError, Tx,
        audit::{self, Actor},
        release::{NewRelease, Standing},
    },
};

/// Why it was not done.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// The repository refused or failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// There is no such release.
    #[error("there is no release {0} {1}")]
    Unknown(Product, semver::Version),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a publication came to.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PublishedView {
    /// The root's version.
    pub root: u64,
    /// The snapshot's version.
    pub snapshot: u64,
    /// The timestamp's version.
    pub timestamp: u64,
    /// Whether the repository has anything new.
    pub changed: bool,
    /// Releases that are new here, as `product version`.
    pub new_releases: Vec<String>,
    /// Releases of the repository that are not offered, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// Publishes a submission: first in the repository, then in the database. Asked again after a failure in between, it
/// completes what is missing.
///
/// # Errors
/// When the repository refuses it (nothing has changed then) or something fails.
pub async fn publish(
    db: &Db,
    repo: &Repository,
    who: &Actor,
    submission: Submission,
    now: Timestamp,
) -> Result<PublishedView, ReleaseError> {
    let mut tx = db.begin().await?;
    store::release::lock_publisher(&mut tx).await?;
    let known = known_releases(&mut tx).await?;
    let published = repo.publish(submission, &known, now).await?;
    let synced = sync(&mut tx, repo, who, now).await?;
    let view = PublishedView {
        root: published.root,
        snapshot: published.snapshot,
        timestamp: published.timestamp,
        changed: published.changed,
        new_releases: synced.new,
        left_out: synced.left_out,
    };
    if view.changed || !view.new_releases.is_empty() {
        let details = serde_json::to_value(&view).unwrap_or_default();
        audit::log(&mut tx, &entry(who, "releases_published", details)).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(view)
}

/// Keeps a file for a release to come, and says who brought it.
///
/// # Errors
/// When the repository refuses it, or something fails.
pub async fn upload<E>(
    db: &Db,
    repo: &Repository,
    who: &Actor,
    sha256: &Digest,
    body: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
) -> Result<u64, ReleaseError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = repo.upload(sha256, body).await?;
    let mut tx = db.begin().await?;
    let details = json!({ "sha256": sha256, "bytes": bytes });
    audit::log(&mut tx, &entry(who, "release_file_uploaded", details)).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(bytes)
}

async fn known_releases(tx: &mut Tx) -> Result<KnownReleases, StoreError> {
    let known = store::release::standings(tx).await?;
    Ok(known.into_iter().map(|k| ((k.product, k.version), k.digest)).collect())
}

#[derive(Default)]
struct Synced {
    new: Vec<String>,
    left_out: Vec<String>,
}

/// Makes the database say what the repository says. A release that can not be taken over (its manifest is damaged, or
/// its version is known with other content) is left out and named; it does not stand in the way of the others.
async fn sync(tx: &mut Tx, repo: &Repository, who: &Actor, now: Timestamp) -> Result<Synced, ReleaseError> {
    let known = store::release::standings(tx).await?;
    let signed = repo.catalogue().await?;
    let mut synced = Synced::default();
    for (product, release) in &signed {
        let revoked = release.revoked.as_ref().map(|r| (r.at, r.reason.as_str()));
        match known.iter().find(|k| k.digest == release.digest) {
            Some(standing) if standing.revoked == revoked.is_some() && !standing.withdrawn => continue,
            Some(_) => {}
            None => match take_over(tx, repo, (product, release), &known, who, now).await? {
                Ok(()) => synced.new.push(format!("{product} {}", release.version)),
                Err(why) => {
                    tracing::warn!(%product, version = %release.version, why, "a release is not offered");
                    synced.left_out.push(format!("{product} {}: {why}", release.version));
                    continue;
                }
            },
        }
        store::release::set_signed_standing(tx, &release.digest, revoked, None).await?;
        if revoked.is_some() {
            let words = "release_revoked: the release was revoked before this order was sent";
            store::release::fail_waiting_orders(tx, product, &release.version, words, now).await?;
        }
    }
    let gone = |known: &&Standing| !known.withdrawn && !signed.iter().any(|(_, r)| r.digest == known.digest);
    for standing in known.iter().filter(gone) {
        store::release::set_signed_standing(tx, &standing.digest, None, Some(now)).await?;
    }
    Ok(synced)
}

/// Stores a release that is new here; the inner error says why it can not be.
async fn take_over(
    tx: &mut Tx,
    repo: &Repository,
    (product, release): (&Product, &SignedRelease),
    known: &[Standing],
    who: &Actor,
    now: Timestamp,
) -> Result<Result<(), String>, ReleaseError> {
    let version = release.version.to_string();
    if known
        .iter()
        .any(|k| k.product == product.as_str() && k.version == version)
    {
        return Ok(Err("this version is known with other content".to_owned()));
    }
    match repo.manifest(product, release).await {
        Ok(manifest) => {
            store::release::insert(tx, &row(release, &manifest), who.id().as_deref(), now).await?;
            Ok(Ok(()))
        }
        // The storage may be back in a moment: everything is tried again.
        Err(error @ RepoError::Storage(_)) => Err(error.into()),
        Err(error) => Ok(Err(format!("{:#}", anyhow::Error::from(error)))),
    }
}

/// Makes the database say what the repository says, for a job: a publication that was cut off in between is completed,
/// also when nobody repeats it. Answers how many releases were new.
///
/// # Errors
/// When the database or the storage fails.
pub async fn take_stock(db: &Db, repo: &Repository, now: Timestamp) -> Result<usize, ReleaseError> {
    if repo.catalogue().await?.is_empty() {
        // A folder that is not mounted looks like this, too: nothing is withdrawn for it.
        return Ok(0);
    }
    let mut tx = db.begin().await?;
    store::release::lock_publisher(&mut tx).await?;
    let synced = sync(&mut tx, repo, &Actor::System, now).await?;
    if !synced.new.is_empty() {
        let details = json!({ "new_releases": synced.new, "why": "a publication was cut off" });
        audit::log(&mut tx, &entry(&Actor::System, "releases_published", details)).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(synced.new.len())
}

fn row(release: &SignedRelease, manifest: &Manifest) -> NewRelease {
    let mut facts = serde_json::to_value(manifest).unwrap_or_default();
    if let Some(fields) = facts.as_object_mut() {
        fields.remove("files");
    }
    NewRelease {
        product: manifest.product.clone(),
        version: manifest.version.clone(),
        digest: release.digest,
        impact: match manifest.impact {
            Impact::Low => "low",
            Impact::Medium => "medium",
            Impact::High => "high",
        },
        fixes: manifest.fixes.clone(),
        undo: match manifest.undo {
            Undo::CodeOnly => "code_only",
            Undo::NeedsSnapshot => "needs_snapshot",
        },
        approvals_required: manifest.approvals.required,
        files: manifest.files.len(),
        bytes: manifest.total_bytes(),
        pack_bytes: release.pack.file.length,
        manifest: facts,
    }
}

/// Stops offering a release at once, and ends the orders for it that were not sent yet; or offers it again. Answers
/// whose orders were ended.
///
/// # Errors
/// When there is no such release.
pub async fn block(
    db: &Db,
    who: &Actor,
    (product, version): (&Product, &semver::Version),
    reason: &str,
    lift: bool,
    now: Timestamp,
) -> Result<Vec<PluginId>, ReleaseError> {
    let mut tx = db.begin().await?;
    let by = who.id().unwrap_or_default();
    let block = (!lift).then_some((now, reason, by.as_str()));
    if !store::release::set_block(&mut tx, product, version, block).await? {
        return Err(ReleaseError::Unknown(product.clone(), version.clone()));
    }
    let mut ended = Vec::new();
    if !lift {
        let words = "release_blocked: ops blocked the release before this order was sent";
        ended = store::release::fail_waiting_orders(&mut tx, product, version, words, now).await?;
    }
    let action = if lift { "release_unblocked" } else { "release_blocked" };
    let details = json!({ "product": product, "version": version, "reason": reason, "orders_ended": ended.len() });
    audit::log(&mut tx, &entry(who, action, details)).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(ended)
}

/// Why a release can not be ordered.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotOffered {
    /// Never published, or no longer signed.
    #[error("{0} {1} is not published")]
    Unknown(Product, semver::Version),
    /// Its revocation was signed.
    #[error("{0} {1} is revoked")]
    Revoked(Product, semver::Version),
    /// Ops blocked it.
    #[error("{0} {1} is blocked by ops")]
    Blocked(Product, semver::Version),
    /// The order names other content.
    #[error("{0} {1} has another digest than the order names")]
    OtherDigest(Product, semver::Version),
}

/// The digest of a release that may be ordered: an order binds content, not a name. The inner error is the refusal.
///
/// # Errors
/// When the database fails.
pub async fn offered(
    tx: &mut Tx,
    product: &Product,
    version: &semver::Version,
    named: Option<&Digest>,
) -> Result<Result<Digest, NotOffered>, StoreError> {
    let refuse = |why: fn(Product, semver::Version) -> NotOffered| Ok(Err(why(product.clone(), version.clone())));
    match store::release::standing(tx, product, version).await? {
        None => refuse(NotOffered::Unknown),
        Some(standing) if standing.withdrawn => refuse(NotOffered::Unknown),
        Some(standing) if standing.revoked => refuse(NotOffered::Revoked),
        Some(standing) if standing.blocked => refuse(NotOffered::Blocked),
        Some(standing) if named.is_some_and(|named| *named != standing.digest) => refuse(NotOffered::OtherDigest),
        Some(standing) => Ok(Ok(standing.digest)),
    }
}

/// Renews the repository's snapshot and timestamp when they are due; for a job, on any replica. Answers whether it did.
///
/// # Errors
/// When the database or the repository fails; what is published stays as it was.
pub async fn refresh_if_due(db: &Db, repo: &Repository, now: Timestamp) -> Result<bool, ReleaseError> {
    let mut tx = db.begin().await?;
    store::release::lock_publisher(&mut tx).await?;
    let renewed = repo.refresh_if_due(now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(renewed)
}

fn entry<'a>(actor: &'a Actor, action: &'a str, details: Value) -> audit::Entry<'a> {
    audit::Entry {
        actor,
        action,
        merchant_id: None,
        plugin_id: None,
        details,
    }
}
