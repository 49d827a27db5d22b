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
