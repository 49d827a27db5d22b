//! The repository's metadata, walked as an agent does (TUF specification section 5), with the same verifier. What was
//! trusted is kept on disk: it is the floor below which no repository takes the runner back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::Timestamp;
use plugmend_shared::{
    ids::{Digest, Product},
    tuf::{
        self, Limits, TrustedSet,
        product::{self, SignedRelease},
        trusted::Update,
    },
};
use semver::Version;

use super::{Anchor, RunError, Source};

/// The runner's view of the repository.
#[derive(Debug)]
pub(super) struct Metadata {
    folder: PathBuf,
    anchor: Anchor,
    limits: Limits,
}

impl Metadata {
    pub(super) fn open(folder: &Path, anchor: Anchor) -> Result<Self, RunError> {
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(RunError::Disk)?;
        Ok(Self {
            folder: folder.to_owned(),
            anchor,
            limits: Limits::default(),
        })
    }

    /// The signed release of a version, as the metadata say at `now`; never one that was revoked.
    pub(super) async fn release(
        &mut self,
        source: &Source,
        product: &Product,
        version: &Version,
        now: Timestamp,
    ) -> Result<SignedRelease, RunError> {
        let set = self.refresh(source, product, now).await?;
        let unknown = || RunError::UnknownProduct(product.clone());
        let targets = set.targets("targets", "root").ok_or_else(unknown)?;
        let (_, delegation) = targets.delegation(product.as_str()).ok_or_else(unknown)?;
        let role = set.targets(product.as_str(), "targets").ok_or_else(unknown)?;
        let found = product::releases(product, role)?.into_iter().find(|release| {
            // A role's word counts only for the paths that were delegated to it.
            release.version == *version
                && delegation.answers_for(&release.manifest.path)
                && delegation.answers_for(&release.pack.path)
        });
        let release = found.ok_or_else(|| RunError::UnknownRelease {
            product: product.clone(),
            version: version.clone(),
        })?;
        match &release.revoked {
            Some(revoked) => Err(RunError::Revoked(revoked.reason.clone())),
            None => Ok(release),
        }
    }

    async fn refresh(&self, source: &Source, product: &Product, now: Timestamp) -> Result<TrustedSet, RunError> {
        let root = self.root(source).await?;
        let mut set = TrustedSet::new(&root, now)?;
        self.follow_roots(source, &mut set).await?;
        set.root_unexpired()?;
        if !set.root().consistent() {
            return Err(RunError::Missing("consistent snapshots".to_owned()));
        }
        self.restore(&mut set)?;
        let bytes = must(source, "metadata/timestamp.json", self.limits.timestamp_bytes).await?;
        if set.update_timestamp(&bytes)? == Update::New {
            self.save("timestamp", &bytes)?;
        }
        if !set.snapshot_is_current() {
            let timestamp = set.timestamp().ok_or(tuf::Error::OutOfOrder("timestamp"))?;
            let promised = timestamp.snapshot()?;
            let most = at_most(promised.length, self.limits.snapshot_bytes);
            let path = format!("metadata/{}.snapshot.json", promised.version);
            let bytes = must(source, &path, most).await?;
            set.update_snapshot(&bytes)?;
            self.save("snapshot", &bytes)?;
        }
        self.role(source, &mut set, "targets", "root").await?;
        let known = set
            .targets("targets", "root")
            .and_then(|targets| targets.delegation(product.as_str()));
        if known.is_none() {
            return Err(RunError::UnknownProduct(product.clone()));
        }
        self.role(source, &mut set, product.as_str(), "targets").await?;
        Ok(set)
    }

    async fn role(&self, source: &Source, set: &mut TrustedSet, role: &str, delegator: &str) -> Result<(), RunError> {
        let promised = set.promised(role)?;
        let most = at_most(promised.length, self.limits.targets_bytes);
        let path = format!("metadata/{}.{role}.json", promised.version);
        let bytes = must(source, &path, most).await?;
        Ok(set.update_targets(role, delegator, &bytes)?)
    }

    /// The root that was trusted last, or the pinned one.
    async fn root(&self, source: &Source) -> Result<Bytes, RunError> {
        if let Some(stored) = self.load("root")? {
            return Ok(stored);
        }
        let root = match &self.anchor {
            Anchor::File(path) => Bytes::from(fs::read(path).map_err(|source| RunError::Unreadable {
                path: path.clone(),
                source,
            })?),
            Anchor::FirstSeen => must(source, "metadata/1.root.json", self.limits.root_bytes).await?,
            Anchor::Sha256(pinned) => self.find_root(source, pinned).await?,
        };
        // Never store what could not be trusted.
        TrustedSet::recalled(&root)?;
        self.save("root", &root)?;
        Ok(root)
    }

    async fn find_root(&self, source: &Source, pinned: &Digest) -> Result<Bytes, RunError> {
        for version in 1..=self.limits.root_rotations {
            let path = format!("metadata/{version}.root.json");
            match source.fetch(&path, None, self.limits.root_bytes).await? {
                Some(bytes) if Digest::of(&bytes) == *pinned => return Ok(bytes),
                Some(_) => {}
                None => break,
            }
        }
        Err(RunError::NoRoot(pinned.to_string()))
    }

    async fn follow_roots(&self, source: &Source, set: &mut TrustedSet) -> Result<(), RunError> {
        for _ in 0..self.limits.root_rotations {
            let next = set.root().head.version.saturating_add(1);
            let path = format!("metadata/{next}.root.json");
            let Some(bytes) = source.fetch(&path, None, self.limits.root_bytes).await? else {
                break;
            };
            set.next_root(&bytes)?;
            self.save("root", &bytes)?;
        }
        Ok(())
    }

    /// Timestamp and snapshot that were trusted before; where the root has since taken their keys away, both go
    /// (section 5.3.11).
    fn restore(&self, set: &mut TrustedSet) -> Result<(), RunError> {
        let mut with_floor = set.clone();
        let (timestamp, snapshot) = (self.load("timestamp")?, self.load("snapshot")?);
        let restored = timestamp
            .iter()
            .try_for_each(|bytes| with_floor.restore_timestamp(bytes))
            .and_then(|()| snapshot.iter().try_for_each(|bytes| with_floor.restore_snapshot(bytes)));
        if restored.is_ok() {
            *set = with_floor;
            return Ok(());
        }
        for role in ["timestamp", "snapshot"] {
            match fs::remove_file(self.path(role)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(RunError::Disk(e)),
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self, role: &str) -> PathBuf {
        self.folder.join(format!("{role}.json"))
    }

    fn load(&self, role: &str) -> Result<Option<Bytes>, RunError> {
        match fs::read(self.path(role)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(RunError::Disk(e)),
        }
    }

    /// Beside, to the disk, over the old one, and the folder to the disk: a crash leaves one of them whole.
    fn save(&self, role: &str, bytes: &[u8]) -> Result<(), RunError> {
        let beside = self.folder.join(format!("{role}.new"));
        let saved = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, self.path(role))?;
            File::open(&self.folder)?.sync_all()
        };
        saved().map_err(RunError::Disk)
    }
}

/// A signed length bounds a download, and never raises our own bound.
fn at_most(signed: Option<u64>, limit: u64) -> u64 {
    signed.unwrap_or(limit).min(limit)
}

async fn must(source: &Source, path: &str, most: u64) -> Result<Bytes, RunError> {
    let found = source.fetch(path, None, most).await?;
    found.ok_or_else(|| RunError::Missing(path.to_owned()))
}
