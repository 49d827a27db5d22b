//! Uploads: kept under their hash until a submission names them.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp as Moment;
use plugmend_shared::{bundle::limits::MAX_RELEASE_BYTES, ids::Digest};
use sha2::{Digest as _, Sha256};

use super::{RepoError, Repository, storage::incoming_path};

/// What is gathered before it is handed to the storage; object stores want parts of at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;
/// The largest upload: no pack is larger than the release laid out.
const MAX_UPLOAD: u64 = MAX_RELEASE_BYTES;
/// Seconds that an upload waits for a submission.
const KEPT_S: i64 = 24 * 3600;

impl Repository {
    /// Whether a file of this hash is at hand for a submission.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn has_upload(&self, sha256: &Digest) -> Result<bool, RepoError> {
        Ok(self.storage.len(&incoming_path(sha256)).await?.is_some())
    }

    /// Takes a file. It is there only when all of it came and it has this hash.
    ///
    /// # Errors
    /// When it breaks off, is too large, or has another hash.
    pub async fn upload<E>(
        &self,
        sha256: &Digest,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin + Send,
    ) -> Result<u64, RepoError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut upload = self.storage.begin(&incoming_path(sha256)).await?;
        let taken = take(&mut *upload, sha256, &mut body).await;
        match taken {
            Ok(len) => {
                upload.complete().await?;
                Ok(len)
            }
            Err(error) => {
                upload.abort().await?;
                Err(error)
            }
        }
    }

    /// Removes uploads that nobody published within a day.
    ///
    /// # Errors
    /// When the storage fails.
    pub(super) async fn sweep_uploads(&self, now: Moment) -> Result<(), RepoError> {
        for path in self.storage.older_than("incoming", now.as_second() - KEPT_S).await? {
            self.storage.remove(&path).await?;
        }
        Ok(())
    }
}

async fn take<E>(
    upload: &mut dyn object_store::MultipartUpload,
    sha256: &Digest,
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin + Send),
) -> Result<u64, RepoError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut len, mut hash) = (0u64, Sha256::new());
    let mut part = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| RepoError::BrokenUpload(e.into()))?;
        len += chunk.len() as u64;
        if len > MAX_UPLOAD {
            return Err(RepoError::UploadTooLarge(MAX_UPLOAD));
        }
        hash.update(&chunk);
        part.extend_from_slice(&chunk);
        if part.len() >= PART {
            upload.put_part(part.split().freeze().into()).await?;
        }
    }
    if Digest(hash.finalize().into()) != *sha256 {
        return Err(RepoError::WrongUpload);
    }
    upload.put_part(part.freeze().into()).await?;
    Ok(len)
}
