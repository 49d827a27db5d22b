//! Where trust starts: a root given at installation, never the repository's own word.

use plugmend_shared::{
    ids::Digest,
    tuf::{Document, Limits, Root},
};

use super::{RepoError, names::metadata_path, store::MetadataStore, transport::Transport, updater::fetch};

/// The root that this host was given.
#[derive(Debug, Clone)]
pub enum TrustAnchor {
    /// Only what the store holds already.
    Stored,
    /// A root's file. One newer than the stored root replaces it, so that a new package can help after root keys were
    /// lost.
    Root(Vec<u8>),
    /// The SHA-256 of a root's file, which is then looked for among the repository's. Used at the first start only.
    Sha256(Digest),
}

const ROLE: &str = "root";

impl TrustAnchor {
    /// The root to start from; it is in the store when this returns.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub(super) async fn root<T: Transport>(
        &self,
        store: &MetadataStore,
        transport: &T,
        limits: &Limits,
    ) -> Result<Vec<u8>, RepoError> {
        let stored = store.load(ROLE, limits.root_bytes)?;
        let given = match (self, &stored) {
            (Self::Root(given), None) => given.clone(),
            (Self::Root(given), Some(stored)) if version(given)? > version(stored)? => given.clone(),
            (Self::Sha256(fingerprint), None) => find(*fingerprint, transport, limits).await?,
            _ => return stored.ok_or(RepoError::NoRoot),
        };
        // Never store what could not be trusted.
        plugmend_shared::tuf::TrustedSet::recalled(&given)?;
        store.save(ROLE, &given)?;
        Ok(given)
    }
}

fn version(root: &[u8]) -> Result<u64, RepoError> {
    Ok(Document::<Root>::parse(root, ROLE)?.version())
}

/// Looks for the root with this fingerprint, oldest first.
async fn find<T: Transport>(fingerprint: Digest, transport: &T, limits: &Limits) -> Result<Vec<u8>, RepoError> {
    for version in 1..=u64::from(limits.root_rotations) {
        let path = metadata_path(ROLE, version, true);
        let Some(bytes) = fetch(transport, &path, limits.root_bytes).await? else {
            break;
        };
        if Digest::of(&bytes) == fingerprint {
            return Ok(bytes.to_vec());
        }
    }
    Err(RepoError::NoSuchRoot)
}
