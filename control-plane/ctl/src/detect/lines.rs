//! Lines of any length from an input, in bounded memory.

use std::io::{self, BufRead, Read as _};

/// No heartbeat and no row is longer than this, in bytes.
pub const MAX_LINE: u64 = 1 << 20;

/// A line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// It is in the buffer, without its end.
    Read,
    /// It was longer than [`MAX_LINE`] and was skipped.
    TooLong,
    /// There are no more.
    End,
}

/// Reads the next line into `buffer`.
///
/// # Errors
/// When the input fails.
pub fn next(input: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Line> {
    buffer.clear();
    let read = input.by_ref().take(MAX_LINE).read_until(b'\n', buffer)?;
    if read == 0 {
        return Ok(Line::End);
    }
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
        if buffer.last() == Some(&b'\r') {
            buffer.pop();
        }
        return Ok(Line::Read);
    }
    if u64::try_from(read).is_ok_and(|read| read < MAX_LINE) {
        return Ok(Line::Read);
    }
    input.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_without_their_ends_and_too_long_ones_are_skipped() {
        let long = vec![b'x'; usize::try_from(MAX_LINE).unwrap() + 5];
        let mut text = b"one\r\n\n".to_vec();
        text.extend(long);
        text.extend(b"\nlast");
        let (mut input, mut buffer) = (text.as_slice(), Vec::new());
        assert_eq!(
            (next(&mut input, &mut buffer).unwrap(), buffer.as_slice()),
            (Line::Read, &b"one"[..])
        );
        assert_eq!(
            (next(&mut input, &mut buffer).unwrap(), buffer.as_slice()),
            (Line::Read, &b""[..])
        );
        assert_eq!(next(&mut input, &mut buffer).unwrap(), Line::TooLong);
        assert_eq!(
            (next(&mut input, &mut buffer).unwrap(), buffer.as_slice()),
            (Line::Read, &b"last"[..])
        );
        assert_eq!(next(&mut input, &mut buffer).unwrap(), Line::End);
    }
}
