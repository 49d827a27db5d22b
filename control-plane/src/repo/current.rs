//! What is published now.

use std::collections::BTreeMap;

use bytes::Bytes;
use plugmend_shared::{
    ids::Product,
    tuf::{Document, Role, Root, Snapshot, Targets, Timestamp, TrustedSet},
};

use super::{
    RepoError,
    storage::{MAX_METADATA, Seen, Storage, metadata_path},
};

/// More roots than this are not followed by agents in one refresh; far more than any repository rotates.
const MAX_ROOTS: u64 = 4096;

/// The newest published metadata.
pub(super) struct Current {
    pub(super) root: Document<Root>,
    pub(super) root_bytes: Bytes,
    pub(super) timestamp: Document<Timestamp>,
    pub(super) timestamp_bytes: Bytes,
    /// The stored timestamp, which the next one replaces.
    pub(super) timestamp_seen: Seen,
    pub(super) snapshot: Document<Snapshot>,
    pub(super) snapshot_bytes: Bytes,
    /// Targets and product roles by name.
    pub(super) roles: BTreeMap<String, (Document<Targets>, Bytes)>,
}

impl Current {
    /// Whether the root in force signs the published snapshot and timestamp.
    pub(super) fn heads_hold(&self, trusted: &TrustedSet) -> bool {
        let mut trusted = trusted.clone();
        trusted.restore_timestamp(&self.timestamp_bytes).is_ok()
            && trusted.restore_snapshot(&self.snapshot_bytes).is_ok()
    }

    /// Reads it; `None` before the first publication.
    pub(super) async fn read(storage: &Storage) -> Result<Option<Self>, RepoError> {
        let file = metadata_path("timestamp.json");
        let Some((timestamp_bytes, timestamp_seen)) = storage.read_seen(&file, MAX_METADATA).await? else {
            return Ok(None);
        };
        let timestamp: Document<Timestamp> = parse(&timestamp_bytes, "timestamp.json", "timestamp")?;
        let (root, root_bytes) = newest_root(storage).await?;
        let version = timestamp.signed.snapshot()?.version;
        let (snapshot, snapshot_bytes) =
            need::<Snapshot>(storage, &format!("{version}.snapshot.json"), "snapshot").await?;
        let mut roles = BTreeMap::new();
        for (file, meta) in &snapshot.signed.meta {
            let role = file.strip_suffix(".json").unwrap_or(file);
            let loaded = need(storage, &format!("{}.{role}.json", meta.version), role).await?;
            roles.insert(role.to_owned(), loaded);
        }
        Ok(Some(Self {
            root,
            root_bytes,
            timestamp,
            timestamp_bytes,
            timestamp_seen,
            snapshot,
            snapshot_bytes,
            roles,
        }))
    }

    /// Products and their metadata.
    pub(super) fn products(self) -> Result<Vec<(Product, Targets)>, RepoError> {
        let roles = self.roles.into_iter().filter(|(name, _)| name != Targets::KIND);
        let parse = |name: String| name.parse().map_err(|e| RepoError::rule(format!("{e}")));
        roles
            .map(|(name, (document, _))| Ok((parse(name)?, document.signed)))
            .collect()
    }
}

/// The newest root, by number.
async fn newest_root(storage: &Storage) -> Result<(Document<Root>, Bytes), RepoError> {
    let mut newest = 1;
    while newest < MAX_ROOTS
        && storage
            .len(&metadata_path(&format!("{}.root.json", newest + 1)))
            .await?
            .is_some()
    {
        newest += 1;
    }
    need(storage, &format!("{newest}.root.json"), "root").await
}

/// A root by its number, as it was published.
pub(super) async fn stored_root(storage: &Storage, version: u64) -> Result<Option<Bytes>, RepoError> {
    storage
        .read(&metadata_path(&format!("{version}.root.json")), MAX_METADATA)
        .await
}

async fn need<R: Role>(storage: &Storage, file: &str, role: &str) -> Result<(Document<R>, Bytes), RepoError> {
    let found = load(storage, file, role).await?;
    found.ok_or_else(|| {
        RepoError::Corrupt(
            file.to_owned(),
            plugmend_shared::tuf::Error::UnknownRole(role.to_owned()),
        )
    })
}

async fn load<R: Role>(storage: &Storage, file: &str, role: &str) -> Result<Option<(Document<R>, Bytes)>, RepoError> {
    let Some(bytes) = storage.read(&metadata_path(file), MAX_METADATA).await? else {
        return Ok(None);
    };
    Ok(Some((parse(&bytes, file, role)?, bytes)))
}

fn parse<R: Role>(bytes: &[u8], file: &str, role: &str) -> Result<Document<R>, RepoError> {
    Document::parse(bytes, role).map_err(|e| RepoError::Corrupt(file.to_owned(), e))
}
