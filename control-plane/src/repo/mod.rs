//! Floor 3: the release repository, as agents fetch it.
//!
//! ```text
//! metadata/<n>.root.json, <n>.snapshot.json, <n>.targets.json, <n>.<product>.json, timestamp.json
//! targets/<product>/<version>/<sha256>.{manifest.json.zst,pack,delta-…}
//! incoming/<sha256>                      uploaded, not published yet
//! ```
//!
//! What goes in was signed by people elsewhere and is checked with the verifier that agents use; this side holds the
//! online keys only, and so can say which signed releases are current, but make none. Files are written in the order in
//! which agents come to them from the end: targets, then metadata, the snapshot, and the timestamp last.

#[cfg(feature = "object-storage")]
mod bucket;
mod check;
mod current;
mod error;
mod incoming;
mod keys;
mod online;
mod publish;
mod storage;

use std::{path::Path, sync::Arc};

use plugmend_shared::{
    bundle::{manifest::Manifest, release},
    ids::Product,
    tuf::product::{self, ProductInfo, SignedRelease},
};
use tokio::sync::Mutex;

pub use error::RepoError;
pub use keys::{OnlineKeys, PublicKeys};
pub use publish::{KnownReleases, Published, Submission};
pub use storage::{ByteStream, Stored};

use current::Current;
use storage::Storage;

/// The release repository.
#[derive(Debug, Clone)]
pub struct Repository {
    storage: Storage,
    keys: Arc<OnlineKeys>,
    /// One writer at a time in this process; among replicas the caller holds a lock of the database.
    writer: Arc<Mutex<()>>,
}

impl Repository {
    /// Opens the repository in a folder, which is made when it is not there.
    ///
    /// # Errors
    /// When the folder can not be made.
    pub fn open(dir: &Path, keys: OnlineKeys) -> Result<Self, RepoError> {
        Ok(Self {
            storage: Storage::in_folder(dir)?,
            keys: Arc::new(keys),
            writer: Arc::default(),
        })
    }

    /// Opens the repository in object storage, at `s3://bucket/folder`.
    ///
    /// # Errors
    /// When the address or what goes with it is wrong, or this build has no object storage.
    pub fn open_url(url: &str, keys: OnlineKeys) -> Result<Self, RepoError> {
        Ok(Self {
            storage: Storage::at_url(url)?,
            keys: Arc::new(keys),
            writer: Arc::default(),
        })
    }

    /// Every release that is published, and whether it was revoked.
    ///
    /// # Errors
    /// When the storage can not be read or its metadata are damaged.
    pub async fn catalogue(&self) -> Result<Vec<(Product, SignedRelease)>, RepoError> {
        let Some(current) = Current::read(&self.storage).await? else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for (product, targets) in current.products()? {
            let releases = product::releases(&product, &targets)?;
            out.extend(releases.into_iter().map(|r| (product.clone(), r)));
        }
        Ok(out)
    }

    /// What the release keys say about a product as a whole; the least when it is not published.
    ///
    /// # Errors
    /// When the storage can not be read or its metadata are damaged.
    pub async fn product_info(&self, product: &Product) -> Result<ProductInfo, RepoError> {
        let Some(current) = Current::read(&self.storage).await? else {
            return Ok(ProductInfo::default());
        };
        let found = current.products()?.into_iter().find(|(name, _)| name == product);
        Ok(found
            .map(|(_, targets)| ProductInfo::of(&targets))
            .transpose()?
            .unwrap_or_default())
    }

    /// The manifest of a published release.
    ///
    /// # Errors
    /// When it is not there or not what was signed.
    pub async fn manifest(&self, product: &Product, signed: &SignedRelease) -> Result<Manifest, RepoError> {
        let path = storage::target_path(&signed.manifest)?;
        let bytes = self.storage.read(&path, signed.manifest.file.length).await?;
        let bytes = bytes.ok_or_else(|| RepoError::MissingFile(signed.manifest.path.clone()))?;
        Ok(release::open_manifest(product, signed, &bytes)?.0)
    }

    /// A metadata file by its name, as agents ask for it.
    ///
    /// # Errors
    /// When the storage can not be read.
    pub async fn metadata(&self, name: &str) -> Result<Option<bytes::Bytes>, RepoError> {
        if name.contains('/') {
            return Ok(None);
        }
        self.storage
            .read(&storage::metadata_path(name), storage::MAX_METADATA)
            .await
    }

    /// A target file by its path beneath `targets/`; `None` when there is none.
    ///
    /// # Errors
    /// When the storage can not be read.
    pub async fn target(&self, path: &str) -> Result<Option<Stored>, RepoError> {
        self.storage.find(&format!("targets/{path}")).await
    }
}
