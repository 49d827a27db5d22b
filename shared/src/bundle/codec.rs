//! zstd with a bound on everything: the one place that compresses and decompresses.

use thiserror::Error;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter, FrameFormat, InBuffer, OutBuffer};

use super::limits::MAX_WINDOW_LOG;

/// The level that releases are published with: they are compressed once and fetched by everyone.
pub const LEVEL: i32 = 19;
/// Output is made in pieces of this size, so that a lying header costs nothing.
const STEP: usize = 64 * 1024;

/// Why bytes could not be decompressed.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum CodecError {
    /// The output passes the limit.
    #[error("decompresses to more than the {0} bytes that are allowed")]
    TooLarge(u64),
    /// Not what was written.
    #[error("compressed bytes are damaged")]
    Damaged,
    /// The compressor could not work, say for want of memory.
    #[error("could not compress")]
    Compressor,
}

/// Compresses `input` as one frame, without checksum (what comes out is checked by hash).
///
/// # Errors
/// When the library fails.
pub fn compress(input: &[u8], level: i32) -> Result<Vec<u8>, CodecError> {
    compress_with(input, None, level, MAX_WINDOW_LOG)
}

/// The same with a window of at most `2^window_log` bytes, which is what decompressing it takes in memory.
///
/// # Errors
/// When the library fails.
pub(super) fn compress_frame(input: &[u8], level: i32, window_log: u32) -> Result<Vec<u8>, CodecError> {
    compress_with(input, None, level, window_log)
}

/// Compresses `input` as a patch of `prefix`: [`decompress_with_prefix`] needs the same one.
///
/// # Errors
/// When the library fails.
pub(super) fn compress_with_prefix(input: &[u8], prefix: &[u8], level: i32) -> Result<Vec<u8>, CodecError> {
    compress_with(input, Some(prefix), level, MAX_WINDOW_LOG)
}

fn compress_with(input: &[u8], prefix: Option<&[u8]>, level: i32, window_log: u32) -> Result<Vec<u8>, CodecError> {
    let mut context = CCtx::create();
    let mut set = |parameter| context.set_parameter(parameter).map_err(|_| CodecError::Compressor);
    set(CParameter::CompressionLevel(level))?;
    set(CParameter::ContentSizeFlag(false))?;
    set(CParameter::ChecksumFlag(false))?;
    set(CParameter::DictIdFlag(false))?;
    // All of the prefix must stay in reach until the last byte of the input.
    let span = prefix.map_or(0, <[u8]>::len) + input.len();
    let log = (usize::BITS - span.leading_zeros()).clamp(10, window_log);
    set(CParameter::WindowLog(log))?;
    set(CParameter::EnableLongDistanceMatching(log > 24))?;
    if let Some(prefix) = prefix {
        context.ref_prefix(prefix).map_err(|_| CodecError::Compressor)?;
    }
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(input.len()));
    context.compress2(&mut out, input).map_err(|_| CodecError::Compressor)?;
    Ok(out)
}

/// Compresses a small `input` as one frame without magic, with a dictionary as RFC 8878 section 5 has it.
///
/// # Errors
/// When the library fails.
pub(super) fn compress_with_dictionary(input: &[u8], dictionary: &[u8], level: i32) -> Result<Vec<u8>, CodecError> {
    let mut context = CCtx::create();
    let mut set = |parameter| context.set_parameter(parameter).map_err(|_| CodecError::Compressor);
    set(CParameter::CompressionLevel(level))?;
    set(CParameter::Format(FrameFormat::Magicless))?;
    set(CParameter::ContentSizeFlag(false))?;
    set(CParameter::ChecksumFlag(false))?;
    set(CParameter::DictIdFlag(false))?;
    let loaded = context.load_dictionary(dictionary);
    loaded.map_err(|_| CodecError::Compressor)?;
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(input.len()));
    context.compress2(&mut out, input).map_err(|_| CodecError::Compressor)?;
    Ok(out)
}

/// Decompresses such a frame to exactly `size` bytes, straight into a buffer of that size: no window is needed.
///
/// # Errors
/// When it is anything else.
pub(super) fn decompress_with_dictionary(input: &[u8], dictionary: &[u8], size: usize) -> Result<Vec<u8>, CodecError> {
    let mut context = DCtx::create();
    let format = context.set_parameter(DParameter::Format(FrameFormat::Magicless));
    let loaded = format.and_then(|_| context.load_dictionary(dictionary));
    loaded.map_err(|_| CodecError::Damaged)?;
    let mut out = vec![0; size];
    match context.decompress(&mut out[..], input) {
        Ok(made) if made == size => Ok(out),
        _ => Err(CodecError::Damaged),
    }
}

/// Decompresses one frame to at most `max` bytes. Memory grows with what really comes out.
///
/// # Errors
/// When it would be more, when bytes follow the frame, or when it is damaged.
pub(super) fn decompress(input: &[u8], max: u64) -> Result<Vec<u8>, CodecError> {
    let mut context = DCtx::create();
    context
        .set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))
        .map_err(|_| CodecError::Damaged)?;
    let mut source = InBuffer::around(input);
    let mut out: Vec<u8> = Vec::new();
    let mut step = vec![0; STEP];
    loop {
        let mut buffer = OutBuffer::around(&mut step[..]);
        let before = source.pos();
        let hint = context
            .decompress_stream(&mut buffer, &mut source)
            .map_err(|_| CodecError::Damaged)?;
        let made = buffer.as_slice();
        if (out.len() + made.len()) as u64 > max {
            return Err(CodecError::TooLarge(max));
        }
        out.extend_from_slice(made);
        if hint == 0 {
            let whole = source.pos() == input.len();
            return if whole { Ok(out) } else { Err(CodecError::Damaged) };
        }
        if made.is_empty() && source.pos() == before {
            return Err(CodecError::Damaged);
        }
    }
}

/// Decompresses a patch of `prefix` to exactly `size` bytes, straight into a buffer of that size: no window is needed.
///
/// # Errors
/// When it is anything else.
pub(super) fn decompress_with_prefix(input: &[u8], prefix: &[u8], size: usize) -> Result<Vec<u8>, CodecError> {
    if zstd_safe::find_frame_compressed_size(input) != Ok(input.len()) {
        return Err(CodecError::Damaged);
    }
    let mut context = DCtx::create();
    context.ref_prefix(prefix).map_err(|_| CodecError::Damaged)?;
    let mut out = vec![0; size];
    let made = context
        .decompress(&mut out[..], input)
        .map_err(|_| CodecError::Damaged)?;
    if made == size {
        Ok(out)
    } else {
        Err(CodecError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zip_bomb_is_cut_off_at_the_limit() {
        let bomb = compress(&vec![0; 50 * 1024 * 1024], 3).unwrap();
        assert!(bomb.len() < 8 * 1024);
        assert_eq!(decompress(&bomb, 1024 * 1024), Err(CodecError::TooLarge(1024 * 1024)));
        assert_eq!(decompress_with_prefix(&bomb, b"", 1024), Err(CodecError::Damaged));
    }

    #[test]
    fn nothing_may_follow_a_frame() {
        let mut frame = compress(b"one", 3).unwrap();
        frame.extend(compress(b"two", 3).unwrap());
        assert_eq!(decompress(&frame, 100), Err(CodecError::Damaged));
        assert_eq!(decompress_with_prefix(&frame, b"", 6), Err(CodecError::Damaged));
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(input: Vec<u8>, prefix: Vec<u8>) {
            let plain = compress(&input, 3).unwrap();
            prop_assert_eq!(&decompress(&plain, input.len() as u64).unwrap(), &input);
            let patch = compress_with_prefix(&input, &prefix, 3).unwrap();
            prop_assert_eq!(&decompress_with_prefix(&patch, &prefix, input.len()).unwrap(), &input);
        }

        #[test]
        fn arbitrary_bytes_never_panic(input: Vec<u8>, prefix: Vec<u8>) {
            let _ = decompress(&input, 4096);
            let _ = decompress_with_prefix(&input, &prefix, 4096);
            let _ = decompress_with_dictionary(&input, &prefix, 4096);
        }
    }
}
