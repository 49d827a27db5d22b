//! The file's form: one line of text that names format, length and SHA-256 of what follows, then JSON.

use plugmend_shared::ids::Digest;
use thiserror::Error;

use super::Ledger;

/// The format this agent writes, and the newest it reads.
const FORMAT: u32 = 1;
const NAME: &str = "plugmend-ledger";
/// Results and quarantine are bounded, so the file is too.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Why a file is not a ledger that can be trusted.
#[derive(Debug, Error)]
pub enum FormatError {
    /// A newer agent wrote it.
    #[error("it has format {0} and this agent reads up to {FORMAT}: install the newer agent again")]
    Newer(u32),
    /// It was cut off or changed.
    #[error("its checksum does not match: the disk or somebody changed it")]
    Damaged,
    /// Whole, but not what it should say.
    #[error("its content can not be read")]
    Content(#[source] serde_json::Error),
}

/// The text is filled up to a multiple of this, so that a file of before has room for the next one.
const PIECE: usize = 64 * 1024;

pub(super) fn encode(ledger: &Ledger) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = serde_json::to_vec_pretty(ledger)?;
    body.push(b'\n');
    body.resize(body.len().next_multiple_of(PIECE), b' ');
    let mut bytes = format!("{NAME} {FORMAT} {} {}\n", body.len(), Digest::of(&body)).into_bytes();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Ledger, FormatError> {
    let end = bytes.iter().position(|b| *b == b'\n').ok_or(FormatError::Damaged)?;
    let (head, rest) = bytes.split_at(end);
    let body = rest.get(1..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| FormatError::Damaged)?;
    let words: Vec<&str> = head.split(' ').collect();
    let &[name, format, length, digest] = words.as_slice() else {
        return Err(FormatError::Damaged);
    };
    let format: u32 = format.parse().map_err(|_| FormatError::Damaged)?;
    if name != NAME {
        return Err(FormatError::Damaged);
    }
    // Only the first line's form is the same in every format, so this comes before the checksum.
    if format == 0 {
        return Err(FormatError::Damaged);
    }
    if format > FORMAT {
        return Err(FormatError::Newer(format));
    }
    if length.parse() != Ok(body.len()) || digest.parse() != Ok(Digest::of(body)) {
        return Err(FormatError::Damaged);
    }
    serde_json::from_slice(body).map_err(FormatError::Content)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::installed::{LayoutKind, Tree};

    pub(in crate::store::ledger) fn ledger() -> Ledger {
        Ledger {
            writes: 7,
            plugin: "/srv/shop/pay".into(),
            layout: LayoutKind::Exchange,
            installed: Tree {
                name: "r0-1.0.0".to_owned(),
                ino: 42,
                version: semver::Version::new(1, 0, 0),
                digest: None,
            },
            previous: None,
            zero: None,
            next_tree: 1,
            last_stamp: 0,
            preserved: Vec::new(),
            transaction: None,
            generation: plugmend_shared::generation::Generation::ZERO,
            results: Vec::new(),
            quarantine: Vec::new(),
            undone: None,
            managed: serde_json::Map::new(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(decode(&encode(&ledger()).unwrap()).unwrap(), ledger());
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let text = String::from_utf8(encode(&ledger()).unwrap()).unwrap();
        let newer = text.replacen("plugmend-ledger 1 ", "plugmend-ledger 2 ", 1);
        assert!(matches!(decode(newer.as_bytes()), Err(FormatError::Newer(2))));
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_never_trusted(at in 0_usize..2_000, bit in 0_u8..8) {
            let mut bytes = encode(&ledger()).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn a_cut_off_file_is_never_trusted(keep in 0_usize..2_000) {
            let bytes = encode(&ledger()).unwrap();
            let keep = keep % bytes.len();
            prop_assert!(decode(&bytes[..keep]).is_err());
        }
    }
}
