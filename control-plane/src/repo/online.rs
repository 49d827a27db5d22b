//! Snapshot and timestamp: made and renewed here, with the online keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{Timestamp as Moment, ToSpan as _};
use plugmend_shared::tuf::{Envelope, MetaFile, Role as _, Root, Snapshot, Timestamp, TrustedSet, sign::SigningKey};

use super::{
    RepoError, Repository,
    current::Current,
    keys::OnlineKeys,
    storage::{Seen, metadata_path},
};

/// Hours that snapshot and timestamp are good for.
const LIFETIME_H: i64 = 7 * 24;
/// A timestamp that is good for fewer hours is renewed: once a day.
const RENEW_TIMESTAMP_H: i64 = 6 * 24;
/// A snapshot that is good for fewer hours is renewed: it must never be what makes agents stop.
const RENEW_SNAPSHOT_H: i64 = 4 * 24;
/// How many snapshots that no timestamp names are passed over.
const MAX_LEFT: u64 = 1000;

/// A snapshot and the timestamp that names it, signed.
pub(super) struct Heads {
    pub(super) snapshot_version: u64,
    pub(super) snapshot: Bytes,
    pub(super) timestamp_version: u64,
    pub(super) timestamp: Bytes,
}

impl Heads {
    /// Signs new ones, which come after the ones that are published.
    pub(super) fn sign(
        keys: &OnlineKeys,
        (snapshot_version, meta): (u64, BTreeMap<String, MetaFile>),
        before: Option<&Current>,
        now: Moment,
    ) -> Result<Self, RepoError> {
        let expires = expiry(now)?;
        let snapshot = sign(&Snapshot::new(snapshot_version, expires, meta), &keys.snapshot)?;
        let timestamp_version = 1 + before.map_or(0, |c| c.timestamp.version());
        let named = MetaFile::of(snapshot_version, &snapshot);
        let timestamp = sign(&Timestamp::new(timestamp_version, expires, named), &keys.timestamp)?;
        Ok(Self {
            snapshot_version,
            snapshot,
            timestamp_version,
            timestamp,
        })
    }
}

fn expiry(now: Moment) -> Result<Moment, RepoError> {
    now.checked_add(LIFETIME_H.hours())
        .map_err(|_| RepoError::rule("the clock is out of range"))
}

fn sign<R: plugmend_shared::tuf::Role>(document: &R, key: &SigningKey) -> Result<Bytes, RepoError> {
    let mut envelope = Envelope::unsigned(document)?;
    envelope.sign(key)?;
    let bytes = envelope
        .to_bytes()
        .map_err(|e| RepoError::rule(format!("metadata can not be written: {e}")))?;
    Ok(bytes.into())
}

/// Whether the root lets these keys sign snapshot and timestamp alone.
pub(super) fn check_root(root: &Root, keys: &OnlineKeys) -> Result<(), RepoError> {
    for (role, key) in [(Snapshot::KIND, &keys.snapshot), (Timestamp::KIND, &keys.timestamp)] {
        let named = root
            .roles
            .get(role)
            .is_some_and(|r| r.threshold == 1 && r.keyids.contains(key.id()));
        if !named {
            return Err(RepoError::rule(format!(
                "the root does not let this control plane's key sign {role} alone; name the keys that \
                 'plugmend-control-plane repo-keys' prints ('plugmend release rotate online')"
            )));
        }
    }
    Ok(())
}

impl Repository {
    /// Renews what is about to expire, and removes uploads that nobody published. Answers whether anything was renewed.
    /// Among replicas, one at a time may do this (see [`Repository`]).
    ///
    /// # Errors
    /// When the storage fails. What is published stays as it was.
    pub async fn refresh_if_due(&self, now: Moment) -> Result<bool, RepoError> {
        let _writer = self.writer.lock().await;
        self.sweep_uploads(now).await?;
        let Some(current) = Current::read(&self.storage).await? else {
            return Ok(false);
        };
        let left = |expires: Moment| (expires.as_second() - now.as_second()).div_euclid(3600);
        let trusted = TrustedSet::new(&current.root_bytes, now)?;
        let snapshot_due =
            left(current.snapshot.signed.head.expires) < RENEW_SNAPSHOT_H || !current.heads_hold(&trusted);
        if !snapshot_due && left(current.timestamp.signed.head.expires) >= RENEW_TIMESTAMP_H {
            return Ok(false);
        }
        check_root(&current.root.signed, &self.keys)?;
        if snapshot_due {
            let meta = current.snapshot.signed.meta.clone();
            let version = self.next_snapshot(Some(&current)).await?;
            let heads = Heads::sign(&self.keys, (version, meta), Some(&current), now)?;
            renewed(self.put_heads(heads, current.timestamp_seen).await)
        } else {
            let named = current.timestamp.signed.snapshot()?.clone();
            let next = Timestamp::new(current.timestamp.version() + 1, expiry(now)?, named);
            let bytes = sign(&next, &self.keys.timestamp)?;
            renewed(self.put_timestamp(bytes, current.timestamp_seen).await)
        }
    }

    /// The version of the snapshot that follows: one that has no file yet. A publication that was cut off may have left
    /// one, and another publisher may be about to name it.
    pub(super) async fn next_snapshot(&self, before: Option<&Current>) -> Result<u64, RepoError> {
        let first = 1 + before.map_or(0, |c| c.snapshot.version());
        for version in first..first + MAX_LEFT {
            let name = metadata_path(&format!("{version}.snapshot.json"));
            if self.storage.len(&name).await?.is_none() {
                return Ok(version);
            }
        }
        Err(RepoError::rule("too many snapshots lie behind the published one"))
    }

    /// Publishes snapshot and timestamp, the timestamp last: until then agents see what was there before. `seen` is the
    /// timestamp that they were made after.
    pub(super) async fn put_heads(&self, heads: Heads, seen: Seen) -> Result<(), RepoError> {
        let name = metadata_path(&format!("{}.snapshot.json", heads.snapshot_version));
        self.storage.replace(&name, heads.snapshot, Seen::default()).await?;
        self.put_timestamp(heads.timestamp, seen).await
    }

    async fn put_timestamp(&self, bytes: Bytes, seen: Seen) -> Result<(), RepoError> {
        self.storage
            .replace(&metadata_path("timestamp.json"), bytes, seen)
            .await
    }
}

/// Whoever was faster has renewed or published; the next look says whether more is due.
fn renewed(put: Result<(), RepoError>) -> Result<bool, RepoError> {
    match put {
        Ok(()) => Ok(true),
        Err(RepoError::Overtaken) => Ok(false),
        Err(error) => Err(error),
    }
}
