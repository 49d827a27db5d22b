//! The repository as one product's agent sees it: releases, and what the release keys say about them.

use std::{ops::Range, path::PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use plugmend_shared::{
    ids::{Digest, Product},
    tuf::{
        DelegatedRole, Limits,
        product::{self, ProductInfo, SignedRelease, SignedTarget},
    },
};
use semver::Version;

use super::{RepoError, anchor::TrustAnchor, store::MetadataStore, transport::Transport, updater::Updater};

/// What a repository needs to know.
#[derive(Debug, Clone)]
pub struct RepositoryOptions {
    /// Where trusted metadata are kept.
    pub folder: PathBuf,
    /// Where trust starts.
    pub anchor: TrustAnchor,
    /// Whose releases are looked at; no other product's are accepted.
    pub product: Product,
    /// Bounds.
    pub limits: Limits,
}

/// How fresh the view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing expired when it was fetched.
    Current,
    /// Read from the store while the repository can not be reached: good for what is installed, and for going back,
    /// not for anything new.
    Recalled,
}

/// One product's releases.
#[derive(Debug)]
pub struct Repository<T> {
    updater: Updater<T>,
    product: Product,
    view: Option<View>,
}

#[derive(Debug)]
struct View {
    info: ProductInfo,
    releases: Vec<SignedRelease>,
    freshness: Freshness,
}

impl<T: Transport> Repository<T> {
    /// Opens the store; nothing is fetched yet.
    ///
    /// # Errors
    /// When the store can not be made.
    pub fn open(options: RepositoryOptions, transport: T) -> Result<Self, RepoError> {
        let store = MetadataStore::open(&options.folder)?;
        Ok(Self {
            updater: Updater::new(transport, store, options.anchor, options.limits),
            product: options.product,
            view: None,
        })
    }

    /// Fetches and checks the metadata, the product's own included. `now` judges every expiry.
    ///
    /// # Errors
    /// When anything is missing, refused or can not be stored; then no release is known until a refresh succeeds.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<(), RepoError> {
        self.view = None;
        self.updater.refresh(now).await?;
        self.delegation()?;
        let role = self.product.to_string();
        self.updater.load_role(&role, "targets").await?;
        self.look(Freshness::Current)
    }

    /// Reads what was trusted before from the store alone, expired or not, for a way back without the repository.
    ///
    /// # Errors
    /// When there is nothing whole there.
    pub fn recall(&mut self) -> Result<(), RepoError> {
        self.view = None;
        self.updater.recall()?;
        self.delegation()?;
        let role = self.product.to_string();
        self.updater.recall_role(&role, "targets")?;
        self.look(Freshness::Recalled)
    }

    /// How fresh the releases are.
    ///
    /// # Errors
    /// When none are loaded.
    pub fn freshness(&self) -> Result<Freshness, RepoError> {
        Ok(self.view()?.freshness)
    }

    /// The signed releases, lowest version first, revoked ones included.
    ///
    /// # Errors
    /// When none are loaded.
    pub fn releases(&self) -> Result<&[SignedRelease], RepoError> {
        Ok(&self.view()?.releases)
    }

    /// The release of a version.
    ///
    /// # Errors
    /// When none are loaded.
    pub fn release(&self, version: &Version) -> Result<Option<&SignedRelease>, RepoError> {
        Ok(self.view()?.releases.iter().find(|r| r.version == *version))
    }

    /// The release with this name.
    ///
    /// # Errors
    /// When none are loaded.
    pub fn release_by_digest(&self, digest: &Digest) -> Result<Option<&SignedRelease>, RepoError> {
        Ok(self.view()?.releases.iter().find(|r| r.digest == *digest))
    }

    /// What the release keys say about the product.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn product_info(&self) -> Result<&ProductInfo, RepoError> {
        Ok(&self.view()?.info)
    }

    /// See [`Updater::fetch_target`].
    ///
    /// # Errors
    /// See there.
    pub async fn fetch_target(&self, target: &SignedTarget) -> Result<Vec<u8>, RepoError> {
        self.updater.fetch_target(target).await
    }

    /// See [`Updater::fetch_range`].
    ///
    /// # Errors
    /// See there.
    pub async fn fetch_range(&self, target: &SignedTarget, range: Range<u64>) -> Result<Bytes, RepoError> {
        self.updater.fetch_range(target, range).await
    }

    fn view(&self) -> Result<&View, RepoError> {
        self.view.as_ref().ok_or(RepoError::NotLoaded)
    }

    /// The delegation to our product, by the targets role itself and no other.
    fn delegation(&self) -> Result<&DelegatedRole, RepoError> {
        let trusted = self.updater.trusted()?;
        let targets = trusted.targets("targets", "root").ok_or(RepoError::NotLoaded)?;
        let (_, role) = targets
            .delegation(self.product.as_str())
            .ok_or_else(|| RepoError::UnknownProduct(self.product.clone()))?;
        Ok(role)
    }

    fn look(&mut self, freshness: Freshness) -> Result<(), RepoError> {
        let trusted = self.updater.trusted()?;
        let role = trusted
            .targets(self.product.as_str(), "targets")
            .ok_or(RepoError::NotLoaded)?;
        let delegation = self.delegation()?;
        let mut releases = product::releases(&self.product, role)?;
        // A role's word counts only for the paths that were delegated to it.
        releases.retain(|release| {
            delegation.answers_for(&release.manifest.path) && delegation.answers_for(&release.pack.path)
        });
        for release in &mut releases {
            release.blocks = release
                .blocks
                .take()
                .filter(|blocks| delegation.answers_for(&blocks.path));
            release.deltas.retain(|_, delta| delegation.answers_for(&delta.path));
        }
        let info = ProductInfo::of(role)?;
        // The agent lives in little memory: what it needs of the metadata is in the view.
        self.updater.forget();
        self.view = Some(View {
            info,
            releases,
            freshness,
        });
        Ok(())
    }
}
