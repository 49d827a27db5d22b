//! Where a page of a list ends and the next begins.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use thiserror::Error;
use uuid::Uuid;

/// The place behind one entry of a list that goes by time: opaque to those who page, exact where several entries share a
/// moment, and good however much is added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The entry's moment, to the microsecond.
    pub at: Timestamp,
    /// The entry.
    pub id: Uuid,
}

/// A text that is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("'after' takes the 'next' of the page before, as it was given")]
pub struct NoCursor;

impl Cursor {
    /// As `next` and `after` have it: 8 bytes of microseconds and 16 of the id, in base64url.
    pub fn encode(self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.at.as_microsecond().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not one of ours.
    pub fn decode(text: &str) -> Result<Self, NoCursor> {
        if text.len() != 32 {
            return Err(NoCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        let (micros, id) = bytes.split_first_chunk::<8>().ok_or(NoCursor)?;
        // Years that Postgres can not hold are no places of a list.
        let at = Timestamp::from_microsecond(i64::from_be_bytes(*micros)).map_err(|_| NoCursor)?;
        if at.as_second() < 0 {
            return Err(NoCursor);
        }
        let id = Uuid::from_slice(id).map_err(|_| NoCursor)?;
        Ok(Self { at, id })
    }
}

/// Cuts a list that was asked for one entry more than wanted, and says where the next page begins, if there is one.
pub fn cut<T, C>(entries: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> C) -> Option<C> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| more).map(place)
}

/// Which ids begin with a text, when it is the beginning of one: at least four hexadecimal digits, dashes aside.
pub fn ids_beginning(text: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if !(4..=32).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |with: &str| Uuid::try_parse(&format!("{digits}{}", with.repeat(32 - digits.len()))).ok();
    Some((filled("0")?, filled("f")?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was(micros in 0_i64..4_000_000_000_000_000, id in any::<u128>()) {
            let cursor = Cursor {
                at: Timestamp::from_microsecond(micros).unwrap(),
                id: Uuid::from_u128(id),
            };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,60}") {
            let _ = Cursor::decode(&text);
            if let Some((first, last)) = ids_beginning(&text) {
                prop_assert!(first <= last);
            }
        }
    }

    #[test]
    fn the_last_page_says_so() {
        let mut entries = vec![1, 2, 3];
        assert_eq!(cut(&mut entries, 2, |n| *n), Some(2));
        assert_eq!(entries, [1, 2]);
        assert_eq!(cut(&mut entries, 2, |n| *n), None);
        assert_eq!(cut(&mut Vec::<i32>::new(), 2, |n| *n), None);
    }

    #[test]
    fn the_beginning_of_an_id_names_a_range() {
        let (first, last) = ids_beginning("0198-c0de").unwrap();
        assert_eq!(first.to_string(), "0198c0de-0000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "0198c0de-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(ids_beginning("abc"), None, "too short to be meant");
        assert_eq!(ids_beginning("shop"), None);
    }
}
