//! Cuts a stream of bytes into lines of bounded length.

use plugmend_shared::telemetry::event::MAX_LINE;

/// Keeps the beginning of a line until its end comes. A line that is too long is skipped, and counted once.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    skipping: bool,
}

impl Lines {
    /// Gives each whole line in `chunk`, without its end, to `take`. Gives how many lines were too long.
    pub(super) fn feed(&mut self, chunk: &[u8], take: &mut dyn FnMut(&[u8])) -> u64 {
        let mut too_long = 0;
        for piece in chunk.split_inclusive(|b| *b == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if !self.skipping && self.partial.len() + text.len() > MAX_LINE {
                self.partial = Vec::new();
                self.skipping = true;
                too_long += 1;
            }
            self.add(text, ended, take);
        }
        too_long
    }

    fn add(&mut self, text: &[u8], ended: bool, take: &mut dyn FnMut(&[u8])) {
        match (self.skipping, ended) {
            (true, ended) => self.skipping = !ended,
            (false, true) if self.partial.is_empty() => give(text, take),
            (false, true) => {
                self.partial.extend_from_slice(text);
                give(&std::mem::take(&mut self.partial), take);
            }
            (false, false) => self.partial.extend_from_slice(text),
        }
    }

    /// Gives the last line of a file that does not end with one.
    pub(super) fn finish(&mut self, take: &mut dyn FnMut(&[u8])) {
        give(&std::mem::take(&mut self.partial), take);
        self.skipping = false;
    }
}

fn give(line: &[u8], take: &mut dyn FnMut(&[u8])) {
    let line = line.trim_ascii();
    if !line.is_empty() {
        take(line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_stream_is_cut(
            text in "([a-z{}\r]{0,9}\n){0,20}[a-z]{0,5}", cuts in proptest::collection::vec(1usize..7, 1..80)
        ) {
            let (mut lines, mut got, mut rest) = (Lines::default(), Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, more) = rest.split_at((*cut).min(rest.len()));
                lines.feed(chunk, &mut |line| got.push(line.to_vec()));
                rest = more;
            }
            lines.finish(&mut |line| got.push(line.to_vec()));
            let wanted: Vec<_> = text.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(got, wanted);
        }

        #[test]
        fn a_line_without_end_costs_no_more_than_a_line(chunks in proptest::collection::vec(1usize..5000, 1..50)) {
            let mut lines = Lines::default();
            for length in chunks {
                lines.feed(&vec![b'x'; length], &mut |_| {});
                prop_assert!(lines.partial.capacity() <= MAX_LINE * 2);
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_taken() {
        let (mut lines, mut got) = (Lines::default(), Vec::new());
        let mut text = vec![b'x'; MAX_LINE + 1];
        text.extend_from_slice(b"tail\ngood\n");
        assert_eq!(lines.feed(&text, &mut |line| got.push(line.to_vec())), 1);
        assert_eq!(got, [b"good"]);
    }
}
