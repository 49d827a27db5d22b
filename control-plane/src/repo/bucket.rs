//! Releases in object storage that speaks S3: `s3://bucket` or `s3://bucket/folder`.

use std::sync::Arc;

use object_store::{ObjectStore, aws::AmazonS3Builder, path::Path, prefix::PrefixStore};

use super::RepoError;

/// Opens a bucket. Credentials, region and endpoint come from the environment under their usual names
/// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`); an endpoint without TLS has to be asked
/// for with `AWS_ALLOW_HTTP=true`.
///
/// # Errors
/// When the address is none of a bucket, or something is missing.
pub(super) fn open(url: &str) -> Result<Arc<dyn ObjectStore>, RepoError> {
    let wrong = || RepoError::rule("PLUGMEND_REPO_URL is s3://bucket or s3://bucket/folder");
    let place = url.strip_prefix("s3://").ok_or_else(wrong)?;
    let (bucket, folder) = place.split_once('/').unwrap_or((place, ""));
    let folder = folder.trim_end_matches('/');
    if bucket.is_empty() {
        return Err(wrong());
    }
    // The HTTP client below takes the process' provider of cryptography; an error means that there is one already.
    let _there_already = rustls::crypto::ring::default_provider().install_default();
    let store = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        // One object at a time: not every S3 takes the other kind, and few are ever removed.
        .with_disable_bulk_delete(true)
        .build()?;
    if folder.is_empty() {
        return Ok(Arc::new(store));
    }
    Ok(Arc::new(PrefixStore::new(
        store,
        Path::parse(folder).map_err(|_| wrong())?,
    )))
}
