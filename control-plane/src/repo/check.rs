//! What a submission's releases must be, beyond their signatures.

use std::collections::BTreeSet;

use plugmend_shared::{
    bundle::{
        blocks::Gathering,
        delta::Delta,
        limits::{MAX_COMPRESSED_MANIFEST_BYTES, MAX_DELTA_BYTES},
        manifest::Manifest,
        pack::{PackError, PackIndex},
        release,
    },
    ids::{Digest, Product},
    tuf::{
        DelegatedRole, TargetFile, Targets,
        product::{self, ProductInfo, SignedRelease, SignedTarget},
    },
};

use super::{
    RepoError,
    publish::KnownReleases,
    storage::{Storage, incoming_path, target_path},
};

/// The products that the top-level targets delegate to; nothing else is delegated and nothing is signed there.
pub(super) fn products(targets: &Targets) -> Result<Vec<Product>, RepoError> {
    if !targets.targets.is_empty() {
        return Err(RepoError::rule(
            "the top-level targets list files; releases are signed by their product's role",
        ));
    }
    let mut out = Vec::new();
    for role in targets.delegations.iter().flat_map(|d| d.roles.iter().flatten()) {
        let product: Product = role.name.parse().map_err(|e| RepoError::rule(format!("{e}")))?;
        let wanted = DelegatedRole {
            keyids: role.keyids.clone(),
            ..DelegatedRole::of_product(&product, role.threshold)
        };
        if *role != wanted {
            return Err(RepoError::rule(format!(
                "the delegation to {product} must cover '{product}/*/*' and end there"
            )));
        }
        out.push(product);
    }
    Ok(out)
}

/// A product's metadata are releases and nothing else, and reuse no version.
pub(super) fn releases(
    product: &Product,
    targets: &Targets,
    before: Option<&Targets>,
) -> Result<Vec<SignedRelease>, RepoError> {
    if targets.delegations.is_some() {
        return Err(RepoError::rule(format!(
            "{product} delegates on, which agents do not follow"
        )));
    }
    ProductInfo::of(targets)?;
    let releases = product::releases(product, targets)?;
    let known: BTreeSet<&str> = releases.iter().flat_map(parts).map(|t| t.path.as_str()).collect();
    if let Some(stray) = targets.targets.keys().find(|path| !known.contains(path.as_str())) {
        return Err(RepoError::rule(format!("'{stray}' belongs to no release")));
    }
    let before = before
        .map(|t| product::releases(product, t))
        .transpose()?
        .unwrap_or_default();
    for release in &releases {
        let reused = before
            .iter()
            .any(|old| old.version == release.version && old.digest != release.digest);
        if reused {
            return Err(RepoError::rule(format!(
                "{product} {} is published with other content",
                release.version
            )));
        }
    }
    Ok(releases)
}

/// A version that was published once means that content for ever, also after it was dropped from the signed releases.
pub(super) fn not_reused(
    product: &Product,
    releases: &[SignedRelease],
    known: &KnownReleases,
) -> Result<(), RepoError> {
    for release in releases {
        let name = (product.to_string(), release.version.to_string());
        if known.get(&name).is_some_and(|digest| *digest != release.digest) {
            return Err(RepoError::rule(format!(
                "{product} {} was published with other content before; sign the new content as another version",
                release.version
            )));
        }
    }
    Ok(())
}

/// A release's files are at hand and what was signed. Those that were published before are not read again.
pub(super) async fn files(
    storage: &Storage,
    product: &Product,
    release: &SignedRelease,
    all: &[SignedRelease],
) -> Result<(), RepoError> {
    let mut published = true;
    for target in parts(release) {
        published &= at_hand(storage, target).await?.is_published();
    }
    if published {
        return Ok(());
    }
    let (manifest, bytes) = manifest(storage, product, release).await?;
    pack(storage, &release.pack, &manifest).await?;
    if let Some(target) = &release.blocks {
        blocks(storage, target, &release.digest, bytes).await?;
    }
    for (from, target) in &release.deltas {
        let place = at_hand(storage, target).await?;
        if target.file.length > MAX_DELTA_BYTES {
            return Err(RepoError::rule(format!(
                "'{}' is larger than a delta may be",
                target.path
            )));
        }
        let Some(old) = all.iter().find(|r| r.digest.short() == *from) else {
            return Err(RepoError::rule(format!(
                "'{}' starts from a release that is not published",
                target.path
            )));
        };
        let (old_manifest, old_bytes) = self::manifest(storage, product, old).await?;
        let bytes = read(storage, &place, &target.path, &target.file).await?;
        Delta::open(&bytes, (&old_manifest, &old_bytes), &release.digest).map_err(|source| RepoError::Delta {
            path: target.path.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Every file of a release.
pub(super) fn parts(release: &SignedRelease) -> Vec<&SignedTarget> {
    [&release.manifest, &release.pack]
        .into_iter()
        .chain(&release.blocks)
        .chain(release.deltas.values())
        .collect()
}

async fn manifest(
    storage: &Storage,
    product: &Product,
    release: &SignedRelease,
) -> Result<(Manifest, Vec<u8>), RepoError> {
    let target = &release.manifest;
    if target.file.length > MAX_COMPRESSED_MANIFEST_BYTES {
        return Err(RepoError::rule(format!(
            "'{}' is larger than a manifest may be",
            target.path
        )));
    }
    let place = at_hand(storage, target).await?;
    let bytes = read(storage, &place, &target.path, &target.file).await?;
    Ok(release::open_manifest(product, release, &bytes)?)
}

/// Reads the index from the pack's end; each content is the agents' to check.
async fn pack(storage: &Storage, target: &SignedTarget, manifest: &Manifest) -> Result<(), RepoError> {
    let place = at_hand(storage, target).await?;
    let len = target.file.length;
    let mut tail = PackIndex::tail_hint(manifest);
    for _ in 0..3 {
        let bytes = storage.read_range(&place.path, len.saturating_sub(tail)..len).await?;
        match PackIndex::parse(&bytes, len, manifest) {
            Ok(_) => return Ok(()),
            Err(PackError::TailTooShort { needed }) => tail = needed,
            Err(source) => {
                return Err(RepoError::Pack {
                    path: target.path.clone(),
                    source,
                });
            }
        }
    }
    Err(RepoError::rule(format!(
        "'{}' has no index that can be read",
        target.path
    )))
}

/// Has an agent that holds this very manifest find it by the blocks: then their tables lie where agents look for them.
/// Each content is the agents' to check, who do without blocks that are of no use.
async fn blocks(storage: &Storage, target: &SignedTarget, digest: &Digest, manifest: Vec<u8>) -> Result<(), RepoError> {
    let place = at_hand(storage, target).await?;
    let name = (*digest, manifest.len() as u64);
    let mut gathering = Gathering::manifest(target.file.length, name, manifest, target.file.length);
    let mut came = Vec::new();
    loop {
        let ranges = gathering.step(&came);
        if ranges.is_empty() {
            break;
        }
        came.clear();
        for range in ranges {
            came.push(storage.read_range(&place.path, range).await?);
        }
    }
    if gathering.finish().is_empty() {
        return Err(RepoError::rule(format!(
            "'{}' are not the release's blocks",
            target.path
        )));
    }
    Ok(())
}

/// Where a signed file is.
pub(super) struct Place {
    pub(super) path: String,
    published: bool,
}

impl Place {
    pub(super) fn is_published(&self) -> bool {
        self.published
    }
}

/// Finds a signed file among what is published and what was uploaded, by hash and length.
pub(super) async fn at_hand(storage: &Storage, target: &SignedTarget) -> Result<Place, RepoError> {
    let published = target_path(target)?;
    if storage.len(&published).await? == Some(target.file.length) {
        return Ok(Place {
            path: published,
            published: true,
        });
    }
    let uploaded = target.file.hashes.sha256().map(|sha256| incoming_path(&sha256));
    let uploaded = uploaded.ok_or_else(|| RepoError::rule(format!("'{}' has no SHA-256", target.path)))?;
    if storage.len(&uploaded).await? == Some(target.file.length) {
        return Ok(Place {
            path: uploaded,
            published: false,
        });
    }
    Err(RepoError::MissingFile(target.path.clone()))
}

async fn read(storage: &Storage, place: &Place, path: &str, file: &TargetFile) -> Result<bytes::Bytes, RepoError> {
    let bytes = storage.read(&place.path, file.length).await?;
    let bytes = bytes.ok_or_else(|| RepoError::MissingFile(path.to_owned()))?;
    file.check(&bytes)
        .map_err(|e| RepoError::rule(format!("'{path}': {e}")))?;
    Ok(bytes)
}
