//! One refresh of the metadata, step by step as specification section 5 orders them, and the fetching of targets.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use plugmend_shared::tuf::{
    self, Limits, TrustedSet,
    product::SignedTarget,
    search::{Search, Step},
    trusted::Update,
};

use super::{
    RepoError,
    anchor::TrustAnchor,
    names::{metadata_path, target_path},
    store::MetadataStore,
    transport::Transport,
};

/// The largest target that is fetched in one piece, in bytes: manifests and deltas. Packs are read in ranges.
const MAX_WHOLE: u64 = 64 * 1024 * 1024;

/// A TUF client: a transport, a store, and what is trusted after a refresh.
#[derive(Debug)]
pub struct Updater<T> {
    transport: T,
    store: MetadataStore,
    anchor: TrustAnchor,
    limits: Limits,
    trusted: Option<TrustedSet>,
    /// Whether targets carry their hash in the name, once a refresh or recall has succeeded.
    consistent: Option<bool>,
}

impl<T: Transport> Updater<T> {
    /// A client that trusts nothing yet.
    pub fn new(transport: T, store: MetadataStore, anchor: TrustAnchor, limits: Limits) -> Self {
        Self {
            transport,
            store,
            anchor,
            limits,
            trusted: None,
            consistent: None,
        }
    }

    /// What is trusted.
    ///
    /// # Errors
    /// Before the first success of [`Updater::refresh`] or [`Updater::recall`], and after a failure of them.
    pub fn trusted(&self) -> Result<&TrustedSet, RepoError> {
        self.trusted.as_ref().ok_or(RepoError::NotLoaded)
    }

    /// Frees the metadata in memory; targets can still be fetched, and the store keeps everything.
    pub fn forget(&mut self) {
        self.trusted = None;
    }

    /// Fetches and checks root, timestamp, snapshot and targets, and stores each before the next builds on it. `now`
    /// judges every expiry.
    ///
    /// # Errors
    /// When anything is missing, refused or can not be stored. Then nothing is trusted in memory, so nothing can be
    /// installed; the store holds what was in order so far.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<(), RepoError> {
        self.distrust();
        let root = self.anchor.root(&self.store, &self.transport, &self.limits).await?;
        let mut set = TrustedSet::new(&root, now)?;
        self.follow_roots(&mut set).await?;
        set.root_unexpired()?;
        self.restore(&mut set)?;
        self.timestamp(&mut set).await?;
        self.snapshot(&mut set).await?;
        self.role(&mut set, "targets", "root").await?;
        self.trust(set);
        Ok(())
    }

    /// Reads what was trusted before from the store alone: signatures are checked, expiry is not. What a refresh that
    /// broke off has stored does not stand in the way.
    ///
    /// # Errors
    /// When something is missing there or refused.
    pub fn recall(&mut self) -> Result<(), RepoError> {
        self.distrust();
        let root = self.stored("root", self.limits.root_bytes)?;
        self.trust(TrustedSet::recalled(&root)?);
        self.recall_role("targets", "root")
    }

    /// Like [`Updater::recall`], for one more role.
    ///
    /// # Errors
    /// When it is missing in the store or refused.
    pub fn recall_role(&mut self, role: &str, delegator: &str) -> Result<(), RepoError> {
        let bytes = self.stored(role, self.limits.targets_bytes)?;
        let set = self.trusted.as_mut().ok_or(RepoError::NotLoaded)?;
        Ok(set.update_targets(role, delegator, &bytes)?)
    }

    /// Loads a delegated role, from the store or else from the repository.
    ///
    /// # Errors
    /// Like [`Updater::refresh`].
    pub async fn load_role(&mut self, role: &str, delegator: &str) -> Result<(), RepoError> {
        let mut set = self.trusted.take().ok_or(RepoError::NotLoaded)?;
        let result = self.role(&mut set, role, delegator).await;
        if matches!(result, Err(RepoError::Store(_))) {
            self.distrust();
        } else {
            self.trusted = Some(set);
        }
        result
    }

    /// Finds a target through the delegations; `None` when nobody who may signs for it.
    ///
    /// # Errors
    /// When a role on the way is missing or refused: what it hides might have come first.
    pub async fn find(&mut self, path: &str) -> Result<Option<SignedTarget>, RepoError> {
        let mut search = Search::new(path, self.limits.delegation_visits);
        // Every step but the last loads a role that was not loaded, and their number is bounded by the search.
        loop {
            match search.step(self.trusted()?)? {
                Step::Load { role, delegator } => self.load_role(&role, &delegator).await?,
                Step::Found { target, .. } => return Ok(Some(target)),
                Step::NotFound => return Ok(None),
            }
        }
    }

    /// Fetches a whole target and checks it against what was signed. At most the signed length is read.
    ///
    /// # Errors
    /// When it does not come, differs, or is too large for one piece.
    pub async fn fetch_target(&self, target: &SignedTarget) -> Result<Vec<u8>, RepoError> {
        let length = target.file.length;
        if length > MAX_WHOLE {
            return Err(RepoError::TooLarge {
                path: target.path.clone(),
                length,
            });
        }
        let path = target_path(target, self.consistent.ok_or(RepoError::NotLoaded)?);
        let bytes = fetch(&self.transport, &path, length)
            .await?
            .ok_or_else(|| RepoError::Missing(path))?;
        target.file.check(&bytes).map_err(|source| RepoError::BadTarget {
            path: target.path.clone(),
            source,
        })?;
        Ok(bytes.into())
    }

    /// Fetches some bytes of a target, not checked: the caller knows their hash from the manifest. Exactly as many
    /// bytes as asked for come, or an error.
    ///
    /// # Errors
    /// When they do not come, or the range is not within the signed length.
    pub async fn fetch_range(&self, target: &SignedTarget, range: Range<u64>) -> Result<Bytes, RepoError> {
        let bad_range = || RepoError::BadRange {
            path: target.path.clone(),
            start: range.start,
            end: range.end,
        };
        let length = range.end.checked_sub(range.start).ok_or_else(bad_range)?;
        if range.end > target.file.length {
            return Err(bad_range());
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        let path = target_path(target, self.consistent.ok_or(RepoError::NotLoaded)?);
        let bytes = self
            .transport
            .fetch(&path, Some(range.clone()), length)
            .await
            .map_err(|source| RepoError::Transport {
                path: path.clone(),
                source,
            })?
            .ok_or_else(|| RepoError::Missing(path))?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(bad_range())
        }
    }

    fn trust(&mut self, set: TrustedSet) {
        self.consistent = Some(set.root().consistent());
        self.trusted = Some(set);
    }

    fn distrust(&mut self) {
        self.trusted = None;
        self.consistent = None;
    }

    /// Section 5.3: each next root in turn, so that a chain of rotations is followed link by link.
    async fn follow_roots(&self, set: &mut TrustedSet) -> Result<(), RepoError> {
        for _ in 0..self.limits.root_rotations {
            let next = set.root().head.version.saturating_add(1);
            let path = metadata_path("root", next, true);
            let Some(bytes) = fetch(&self.transport, &path, self.limits.root_bytes).await? else {
                break;
            };
            set.next_root(&bytes)?;
            self.store.save("root", &bytes)?;
        }
        Ok(())
    }

    /// The floor: timestamp and snapshot that were trusted before. Where the root has since taken their keys away,
    /// both go (section 5.3.11), so that a repository whose online keys were stolen, and its versions driven up, can
    /// recover.
    fn restore(&self, set: &mut TrustedSet) -> Result<(), RepoError> {
        let timestamp = self.store.load("timestamp", self.limits.timestamp_bytes)?;
        let snapshot = self.store.load("snapshot", self.limits.snapshot_bytes)?;
        let mut with_floor = set.clone();
        let restored = timestamp
            .iter()
            .try_for_each(|bytes| with_floor.restore_timestamp(bytes))
            .and_then(|()| snapshot.iter().try_for_each(|bytes| with_floor.restore_snapshot(bytes)));
        match restored {
            Ok(()) => *set = with_floor,
            Err(why) => {
                tracing::warn!(error = %why, "stored timestamp and snapshot are not signed as the root asks: starting anew");
                self.store.remove("timestamp")?;
                self.store.remove("snapshot")?;
            }
        }
        Ok(())
    }

    async fn timestamp(&self, set: &mut TrustedSet) -> Result<(), RepoError> {
        let path = metadata_path("timestamp", 0, false);
        let bytes = must(&self.transport, &path, self.limits.timestamp_bytes).await?;
        if set.update_timestamp(&bytes)? == Update::New {
            self.store.save("timestamp", &bytes)?;
        }
        Ok(())
    }

    async fn snapshot(&self, set: &mut TrustedSet) -> Result<(), RepoError> {
        if set.snapshot_is_current() {
            return Ok(());
        }
        let promised = set.timestamp().ok_or(tuf::Error::OutOfOrder("timestamp"))?.snapshot()?;
        let path = metadata_path("snapshot", promised.version, set.root().consistent());
        let most = at_most(promised.length, self.limits.snapshot_bytes);
        let bytes = must(&self.transport, &path, most).await?;
        set.update_snapshot(&bytes)?;
        self.store.save("snapshot", &bytes)?;
        Ok(())
    }

    async fn role(&self, set: &mut TrustedSet, role: &str, delegator: &str) -> Result<(), RepoError> {
        if set.targets(role, delegator).is_some() {
            return Ok(());
        }
        if let Some(stored) = self.store.load(role, self.limits.targets_bytes)?
            && set.update_targets(role, delegator, &stored).is_ok()
        {
            return Ok(());
        }
        let promised = set.promised(role)?;
        let path = metadata_path(role, promised.version, set.root().consistent());
        let most = at_most(promised.length, self.limits.targets_bytes);
        let bytes = must(&self.transport, &path, most).await?;
        set.update_targets(role, delegator, &bytes)?;
        self.store.save(role, &bytes)?;
        Ok(())
    }

    fn stored(&self, role: &str, most: u64) -> Result<Vec<u8>, RepoError> {
        self.store.load(role, most)?.ok_or(RepoError::NotLoaded)
    }
}

/// A signed length bounds a download, and never raises our own bound.
fn at_most(signed: Option<u64>, limit: u64) -> u64 {
    signed.unwrap_or(limit).min(limit)
}

pub(super) async fn fetch<T: Transport>(transport: &T, path: &str, most: u64) -> Result<Option<Bytes>, RepoError> {
    let bytes = transport
        .fetch(path, None, most)
        .await
        .map_err(|source| RepoError::Transport {
            path: path.to_owned(),
            source,
        })?;
    // A transport that does not keep the bound is not taken at its word.
    if bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 > most) {
        return Err(RepoError::Transport {
            path: path.to_owned(),
            source: super::TransportError::TooLarge(most),
        });
    }
    Ok(bytes)
}

async fn must<T: Transport>(transport: &T, path: &str, most: u64) -> Result<Bytes, RepoError> {
    fetch(transport, path, most)
        .await?
        .ok_or_else(|| RepoError::Missing(path.to_owned()))
}
