//! Bounds on everything that comes from outside. A release that passes them can not exhaust a shop's host.

/// The most files a release may have.
pub const MAX_FILES: usize = 200_000;
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// The longest single name in a path, in bytes (the limit of every common filesystem).
pub const MAX_NAME_BYTES: usize = 255;
/// The deepest nesting of folders.
pub const MAX_DEPTH: usize = 64;
/// The largest single file, in bytes.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// The largest release when laid out, in bytes.
pub const MAX_RELEASE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// The largest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 64 * 1024 * 1024;
/// The largest memory that decompression of one frame may ask for (zstd window log).
pub const MAX_WINDOW_LOG: u32 = 27;
/// The largest body of a manifest as it travels, compressed, in bytes.
pub const MAX_COMPRESSED_MANIFEST_BYTES: u64 = 32 * 1024 * 1024;
/// The largest delta pack, in bytes; beyond it the frames are the better way.
pub const MAX_DELTA_BYTES: u64 = 64 * 1024 * 1024;
/// The largest file that is patched rather than fetched, in bytes: old and new are in memory together.
pub const MAX_PATCHED_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The most preserved paths.
pub const MAX_PRESERVED: usize = 256;
/// The most entries of the small lists: fixes, environment ranges, smoke tests.
pub const MAX_SMALL_LIST: usize = 64;
/// The most settings.
pub const MAX_SETTINGS: usize = 512;
/// The most choices of one setting.
pub const MAX_CHOICES: usize = 128;
/// The most arguments of a smoke test.
pub const MAX_ARGS: usize = 64;
/// The longest argument, name or text of a manifest, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;
/// The longest a smoke test may take, in ms.
pub const MAX_SMOKE_MS: u64 = 600_000;

/// Decompresses one zstd frame to at most `max` bytes: the one door for compressed bytes from outside.
///
/// # Errors
/// When more would come out, bytes follow the frame, or it is damaged.
pub fn decompress(input: &[u8], max: u64) -> Result<Vec<u8>, super::codec::CodecError> {
    super::codec::decompress(input, max)
}
