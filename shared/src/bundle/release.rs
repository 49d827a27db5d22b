//! Whether the files of a release are what its signatures say. Publishers, the control plane and agents ask this in the
//! same words.

use thiserror::Error;

use super::{
    ManifestError,
    codec::CodecError,
    limits::{MAX_COMPRESSED_MANIFEST_BYTES, MAX_MANIFEST_BYTES, decompress},
    manifest::Manifest,
};
use crate::{
    ids::{Digest, Product},
    tuf::{hash::Mismatch, product::SignedRelease},
};

/// Why a release's files are refused.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// Another file than the signed one.
    #[error("the manifest's file is not the signed one")]
    File(#[source] Mismatch),
    /// Larger than a manifest may be, or another size than signed.
    #[error("the manifest's signed size is over its limit or not its real one")]
    Size,
    /// Damaged, or a bomb.
    #[error("the manifest can not be decompressed")]
    Compressed(#[source] CodecError),
    /// The manifest has another digest than the release's name.
    #[error("the manifest is not the one that the release is named by")]
    OtherDigest,
    /// The manifest breaks a rule.
    #[error("the manifest is refused")]
    Manifest(#[from] ManifestError),
    /// The manifest is of another product or version than its place says.
    #[error("the manifest says {found}, but its signed place is {place}")]
    OtherPlace {
        /// Product and version inside.
        found: String,
        /// Product and version of the signed path.
        place: String,
    },
}

/// Reads the compressed manifest of a signed release and makes sure that it is that of this product and version. Gives
/// the canonical bytes as well.
///
/// # Errors
/// The first thing that does not fit.
pub fn open_manifest(
    product: &Product,
    release: &SignedRelease,
    compressed: &[u8],
) -> Result<(Manifest, Vec<u8>), ReleaseError> {
    let signed = &release.manifest.file;
    if signed.length > MAX_COMPRESSED_MANIFEST_BYTES || release.manifest_size > MAX_MANIFEST_BYTES {
        return Err(ReleaseError::Size);
    }
    signed.check(compressed).map_err(ReleaseError::File)?;
    let bytes = decompress(compressed, release.manifest_size).map_err(ReleaseError::Compressed)?;
    Ok((named_manifest(product, release, &bytes)?, bytes))
}

/// The same for canonical bytes that came another way, as a delta's patch.
///
/// # Errors
/// The first thing that does not fit.
pub fn named_manifest(product: &Product, release: &SignedRelease, bytes: &[u8]) -> Result<Manifest, ReleaseError> {
    if bytes.len() as u64 != release.manifest_size {
        return Err(ReleaseError::Size);
    }
    if Digest::of(bytes) != release.digest {
        return Err(ReleaseError::OtherDigest);
    }
    let manifest = Manifest::parse(bytes)?;
    if manifest.product != *product || manifest.version != release.version {
        return Err(ReleaseError::OtherPlace {
            found: format!("{} {}", manifest.product, manifest.version),
            place: format!("{product} {}", release.version),
        });
    }
    Ok(manifest)
}
