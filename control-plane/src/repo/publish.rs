//! Taking a submission: checked as an agent would, then published in an order that agents can live with at any moment.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp as Moment;
use plugmend_shared::{
    ids::{Digest, Product},
    tuf::{self, Document, MetaFile, Role as _, Root, Targets, product::SignedRelease, trusted::TrustedSet},
};

use super::{
    RepoError, Repository, check,
    current::{Current, stored_root},
    online::{self, Heads},
    storage::{MAX_METADATA, Seen, incoming_path, metadata_path, target_path},
};

/// More products than this are not taken at once.
const MAX_ROLES: usize = 1000;
/// How often a publication is begun anew because another publisher wrote in between.
const TRIES: u32 = 3;

/// Digests of releases by product and version.
pub type KnownReleases = BTreeMap<(String, String), Digest>;

/// Signed metadata, as they came.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Roots, oldest first; those that are published already may be among them.
    pub roots: Vec<Bytes>,
    /// `targets` and products' roles by name; those that are left out stay as they are.
    pub metadata: BTreeMap<String, Bytes>,
}

/// What is published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The root's version.
    pub root: u64,
    /// The snapshot's version.
    pub snapshot: u64,
    /// The timestamp's version.
    pub timestamp: u64,
    /// Whether anything is new.
    pub changed: bool,
}

/// A role's document on its way.
struct Incoming {
    document: Document<Targets>,
    bytes: Bytes,
    is_new: bool,
}

impl Repository {
    /// Publishes a submission, or refuses all of it. The same submission twice is harmless. `known` is the content of
    /// every release that was ever published, those that are no longer signed among them: a version means one content
    /// for ever. Among replicas, one at a time may do this (see [`Repository`]); others who write to the same bucket are
    /// noticed by the timestamp, which is replaced only as it was read.
    ///
    /// # Errors
    /// When a threshold is not met or anything else would make an agent refuse it; then nothing has changed.
    pub async fn publish(
        &self,
        submission: Submission,
        known: &KnownReleases,
        now: Moment,
    ) -> Result<Published, RepoError> {
        let _writer = self.writer.lock().await;
        for _ in 1..TRIES {
            match self.attempt(submission.clone(), known, now).await {
                Err(RepoError::Overtaken) => tracing::info!("another publisher was faster; looking again"),
                result => return result,
            }
        }
        self.attempt(submission, known, now).await
    }

    async fn attempt(
        &self,
        submission: Submission,
        known: &KnownReleases,
        now: Moment,
    ) -> Result<Published, RepoError> {
        let current = Current::read(&self.storage).await?;
        let (mut trusted, new_roots) = self.roots(&submission.roots, current.as_ref(), now).await?;
        trusted.root_unexpired()?;
        if !trusted.root().consistent() {
            return Err(RepoError::rule("the root must ask for consistent snapshots"));
        }
        online::check_root(trusted.root(), &self.keys)?;
        let roles = roles(submission.metadata, current.as_ref())?;
        let releases = check_roles(&roles, current.as_ref())?;
        for (product, of_product) in &releases {
            check::not_reused(product, of_product, known)?;
        }

        // Heads that the root in force does not sign (a stop between a root and its heads) are as good as absent.
        let sound = current.as_ref().is_some_and(|current| current.heads_hold(&trusted));
        let changed = !sound || !new_roots.is_empty() || roles.values().any(|r| r.is_new);
        if let (Some(current), false) = (&current, changed) {
            return Ok(Published {
                root: current.root.version(),
                snapshot: current.snapshot.version(),
                timestamp: current.timestamp.version(),
                changed,
            });
        }
        let meta = roles.iter().map(|(name, role)| {
            (
                format!("{name}.json"),
                MetaFile::of(role.document.version(), &role.bytes),
            )
        });
        let version = self.next_snapshot(current.as_ref()).await?;
        let heads = Heads::sign(&self.keys, (version, meta.collect()), current.as_ref(), now)?;
        as_an_agent(&mut trusted, &heads, &roles, current.as_ref())?;
        for (product, of_product) in &releases {
            for release in of_product {
                check::files(&self.storage, product, release, of_product).await?;
            }
        }
        let published = Published {
            root: trusted.root().head.version,
            snapshot: heads.snapshot_version,
            timestamp: heads.timestamp_version,
            changed,
        };
        let seen = current.map(|c| c.timestamp_seen).unwrap_or_default();
        self.put(&new_roots, &roles, &releases, (heads, seen)).await?;
        Ok(published)
    }

    /// Follows the submitted roots from the published one; gives the new ones by version.
    async fn roots(
        &self,
        submitted: &[Bytes],
        current: Option<&Current>,
        now: Moment,
    ) -> Result<(TrustedSet, BTreeMap<u64, Bytes>), RepoError> {
        let mut new = BTreeMap::new();
        let first = current.map(|c| &c.root_bytes).or_else(|| submitted.first());
        let first = first.ok_or_else(|| RepoError::rule("the first publication needs a root"))?;
        let mut trusted = TrustedSet::new(first, now)?;
        if current.is_none() {
            if trusted.root().head.version != 1 {
                return Err(RepoError::rule("the first publication starts with root version 1"));
            }
            new.insert(1, first.clone());
        }
        for bytes in submitted {
            let version = Document::<Root>::parse(bytes, Root::KIND)?.version();
            if version > trusted.root().head.version {
                trusted.next_root(bytes)?;
                new.insert(version, bytes.clone());
                continue;
            }
            let known = match new.get(&version) {
                Some(known) => Some(known.clone()),
                None => stored_root(&self.storage, version).await?,
            };
            if known.as_ref() != Some(bytes) {
                return Err(RepoError::rule(format!(
                    "another root with version {version} is published"
                )));
            }
        }
        Ok((trusted, new))
    }

    async fn put(
        &self,
        roots: &BTreeMap<u64, Bytes>,
        roles: &BTreeMap<String, Incoming>,
        releases: &[(Product, Vec<SignedRelease>)],
        (heads, seen): (Heads, Seen),
    ) -> Result<(), RepoError> {
        let targets: Vec<_> = releases
            .iter()
            .flat_map(|(_, list)| list)
            .flat_map(check::parts)
            .collect();
        let mut uploaded = Vec::new();
        for target in targets {
            let place = check::at_hand(&self.storage, target).await?;
            if !place.is_published() {
                self.storage.copy(&place.path, &target_path(target)?).await?;
                uploaded.extend(target.file.hashes.sha256());
            }
        }
        for (version, bytes) in roots {
            self.storage
                .write(&metadata_path(&format!("{version}.root.json")), bytes.clone())
                .await?;
        }
        for (name, role) in roles.iter().filter(|(_, role)| role.is_new) {
            let name = format!("{}.{name}.json", role.document.version());
            self.storage.write(&metadata_path(&name), role.bytes.clone()).await?;
        }
        self.put_heads(heads, seen).await?;
        for sha256 in uploaded {
            self.storage.remove(&incoming_path(&sha256)).await?;
        }
        Ok(())
    }
}

/// Every role as it will be: what was submitted, else what is published.
fn roles(
    submitted: BTreeMap<String, Bytes>,
    current: Option<&Current>,
) -> Result<BTreeMap<String, Incoming>, RepoError> {
    if submitted.len() > MAX_ROLES {
        return Err(RepoError::rule(format!("more than {MAX_ROLES} roles at once")));
    }
    let mut out = BTreeMap::new();
    for (name, (document, bytes)) in current.into_iter().flat_map(|c| &c.roles) {
        let kept = Incoming {
            document: document.clone(),
            bytes: bytes.clone(),
            is_new: false,
        };
        out.insert(name.clone(), kept);
    }
    for (name, bytes) in submitted {
        if bytes.len() as u64 > MAX_METADATA {
            return Err(RepoError::rule(format!(
                "{name} metadata are larger than {MAX_METADATA} bytes"
            )));
        }
        let document = Document::<Targets>::parse(&bytes, &name)?;
        let is_new = match out.get(&name) {
            Some(known) if known.bytes == bytes => false,
            Some(known) if document.version() <= known.document.version() => {
                return Err(RepoError::rule(format!(
                    "{name} version {} is published; the submitted one is version {}: take over the published metadata \
                     and stage the change anew",
                    known.document.version(),
                    document.version()
                )));
            }
            _ => true,
        };
        out.insert(
            name,
            Incoming {
                document,
                bytes,
                is_new,
            },
        );
    }
    Ok(out)
}

/// Our own rules for all roles; gives each product's releases.
fn check_roles(
    roles: &BTreeMap<String, Incoming>,
    current: Option<&Current>,
) -> Result<Vec<(Product, Vec<SignedRelease>)>, RepoError> {
    let targets = roles
        .get(Targets::KIND)
        .ok_or_else(|| RepoError::rule("the submission has no targets metadata"))?;
    let products = check::products(&targets.document.signed)?;
    let stray = roles
        .keys()
        .find(|name| *name != Targets::KIND && !products.iter().any(|p| p.as_str() == *name));
    if let Some(stray) = stray {
        return Err(RepoError::rule(format!("nobody delegates to '{stray}'")));
    }
    let mut out = Vec::new();
    for product in products {
        let role = roles.get(product.as_str());
        let role = role.ok_or_else(|| RepoError::rule(format!("the submission has no metadata for {product}")))?;
        let before = current
            .and_then(|c| c.roles.get(product.as_str()))
            .map(|(document, _)| &document.signed);
        let releases = check::releases(&product, &role.document.signed, before)?;
        out.push((product, releases));
    }
    Ok(out)
}

/// Goes through everything as an agent does that has seen what was published before.
fn as_an_agent(
    trusted: &mut TrustedSet,
    heads: &Heads,
    roles: &BTreeMap<String, Incoming>,
    current: Option<&Current>,
) -> Result<(), RepoError> {
    if let Some(current) = current {
        // After a rotation of the online keys the old ones no longer count, as in an agent: then nothing is restored.
        if trusted.restore_timestamp(&current.timestamp_bytes).is_ok() {
            let _rotated = trusted.restore_snapshot(&current.snapshot_bytes);
        }
    }
    trusted.update_timestamp(&heads.timestamp)?;
    trusted.update_snapshot(&heads.snapshot)?;
    let targets = roles.get(Targets::KIND).map(|r| &r.bytes);
    trusted.update_targets(Targets::KIND, Root::KIND, targets.map_or(&[][..], |b| b))?;
    for (name, role) in roles.iter().filter(|(name, _)| *name != Targets::KIND) {
        match trusted.update_targets(name, Targets::KIND, &role.bytes) {
            // One product's metadata that nobody renewed stop that product's agents, and nothing else.
            Err(tuf::Error::Expired { .. }) if !role.is_new => {
                tracing::warn!(
                    product = name,
                    "published metadata have expired; its release keys have to renew them"
                );
            }
            judged => judged?,
        }
    }
    Ok(())
}
