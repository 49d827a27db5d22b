//! Where the repository's files are: an object store, a folder by default. Writes are atomic and reach the disk.

use std::{ops::Range, path::Path as FsPath, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    UpdateVersion, local::LocalFileSystem, path::Path,
};
use plugmend_shared::{
    ids::Digest,
    tuf::{TargetFile, product::SignedTarget},
};

use super::RepoError;

/// The largest metadata file, in bytes: what agents read at most.
pub(super) const MAX_METADATA: u64 = 4 * 1024 * 1024;

/// Bytes of a file as they are read.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, RepoError>> + Send>>;

#[derive(Debug, Clone)]
pub(super) struct Storage {
    store: Arc<dyn ObjectStore>,
    /// Whether others may write to it who hold no lock of ours; a folder is one control plane's alone.
    shared: bool,
}

/// What a file was when it was read; nothing when there was none.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Option<UpdateVersion>);

/// A stored file that can be read in part.
#[derive(Debug, Clone)]
pub struct Stored {
    storage: Storage,
    path: Path,
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256, from its name: published files never change.
    pub sha256: Digest,
}

impl Stored {
    /// Reads some of it.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn read(&self, range: Range<u64>) -> Result<ByteStream, RepoError> {
        if range.is_empty() {
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let result = self.storage.store.get_opts(&self.path, options).await?;
        Ok(Box::pin(result.into_stream().map_err(RepoError::from)))
    }
}

/// `metadata/<name>`
pub(super) fn metadata_path(name: &str) -> String {
    format!("metadata/{name}")
}

/// `incoming/<sha256>`
pub(super) fn incoming_path(sha256: &Digest) -> String {
    format!("incoming/{sha256}")
}

/// The consistent path of a target: its SHA-256 before its name (specification section 6.2).
pub(super) fn target_path(target: &SignedTarget) -> Result<String, RepoError> {
    consistent(&target.path, &target.file)
}

/// The same from path and file.
pub(super) fn consistent(path: &str, file: &TargetFile) -> Result<String, RepoError> {
    let sha256 = file.hashes.sha256();
    let sha256 = sha256.ok_or_else(|| RepoError::rule(format!("'{path}' has no SHA-256")))?;
    Ok(match path.rsplit_once('/') {
        Some((folder, name)) => format!("targets/{folder}/{sha256}.{name}"),
        None => format!("targets/{sha256}.{path}"),
    })
}

impl Storage {
    pub(super) fn in_folder(dir: &FsPath) -> Result<Self, RepoError> {
        let failed = |source| {
            RepoError::Storage(object_store::Error::Generic {
                store: "LocalFileSystem",
                source: Box::new(source),
            })
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(dir)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            shared: false,
        })
    }

    #[cfg(feature = "object-storage")]
    pub(super) fn at_url(url: &str) -> Result<Self, RepoError> {
        Ok(Self {
            store: super::bucket::open(url)?,
            shared: true,
        })
    }

    #[cfg(not(feature = "object-storage"))]
    pub(super) fn at_url(_url: &str) -> Result<Self, RepoError> {
        Err(RepoError::rule(
            "this build has no object storage; build it with --features object-storage, or leave PLUGMEND_REPO_URL out",
        ))
    }

    /// A whole file of at most `max` bytes; `None` when there is none, or it is larger.
    pub(super) async fn read(&self, path: &str, max: u64) -> Result<Option<Bytes>, RepoError> {
        Ok(self.read_seen(path, max).await?.map(|(bytes, _)| bytes))
    }

    /// The same, and what [`Storage::replace`] needs to know of it.
    pub(super) async fn read_seen(&self, path: &str, max: u64) -> Result<Option<(Bytes, Seen)>, RepoError> {
        let Ok(path) = Path::parse(path) else {
            return Ok(None);
        };
        match self.store.get(&path).await {
            Ok(found) if found.meta.size > max => Ok(None),
            Ok(found) => {
                let seen = Seen(version(&found.meta));
                Ok(Some((found.bytes().await?, seen)))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The length of a file; `None` when there is none.
    pub(super) async fn len(&self, path: &str) -> Result<Option<u64>, RepoError> {
        let Ok(path) = Path::parse(path) else {
            return Ok(None);
        };
        match self.store.head(&path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A published target by its path with hash; `None` for anything else.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Stored>, RepoError> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let sha256 = name.split_once('.').and_then(|(hash, _)| hash.parse().ok());
        let (Some(sha256), Ok(parsed)) = (sha256, Path::parse(path)) else {
            return Ok(None);
        };
        Ok(self.len(path).await?.map(|len| Stored {
            storage: self.clone(),
            path: parsed,
            len,
            sha256,
        }))
    }

    /// Part of a file.
    pub(super) async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, RepoError> {
        Ok(self.store.get_range(&parse(path)?, range).await?)
    }

    /// Writes a file, whole or not at all.
    pub(super) async fn write(&self, path: &str, bytes: Bytes) -> Result<(), RepoError> {
        self.store.put(&parse(path)?, bytes.into()).await?;
        Ok(())
    }

    /// Writes a file, unless it is another than was `seen`; then [`RepoError::Overtaken`].
    pub(super) async fn replace(&self, path: &str, bytes: Bytes, seen: Seen) -> Result<(), RepoError> {
        let mode = match seen {
            _ if !self.shared => PutMode::Overwrite,
            Seen(None) => PutMode::Create,
            Seen(Some(version)) => PutMode::Update(version),
        };
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        match self.store.put_opts(&parse(path)?, bytes.into(), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Err(RepoError::Overtaken)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a file that is written in parts.
    pub(super) async fn begin(&self, path: &str) -> Result<Box<dyn MultipartUpload>, RepoError> {
        Ok(self.store.put_multipart(&parse(path)?).await?)
    }

    /// Copies a file.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<(), RepoError> {
        Ok(self.store.copy(&parse(from)?, &parse(to)?).await?)
    }

    /// Removes a file, when it is there.
    pub(super) async fn remove(&self, path: &str) -> Result<(), RepoError> {
        match self.store.delete(&parse(path)?).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Names beneath a folder that were last written before `second` (since the epoch).
    pub(super) async fn older_than(&self, folder: &str, second: i64) -> Result<Vec<String>, RepoError> {
        let folder = parse(folder)?;
        let mut list = self.store.list(Some(&folder));
        let mut out = Vec::new();
        while let Some(meta) = list.next().await {
            let meta = meta?;
            if meta.last_modified.timestamp() < second {
                out.push(meta.location.to_string());
            }
        }
        Ok(out)
    }
}

fn version(meta: &ObjectMeta) -> Option<UpdateVersion> {
    let (e_tag, version) = (meta.e_tag.clone(), meta.version.clone());
    e_tag.is_some().then_some(UpdateVersion { e_tag, version })
}

fn parse(path: &str) -> Result<Path, RepoError> {
    Path::parse(path).map_err(|_| RepoError::rule(format!("'{path}' is not a path")))
}
