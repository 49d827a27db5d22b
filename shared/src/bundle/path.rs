//! Paths inside a release: a type that can not climb out.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

use super::limits::{MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// A relative path with `/` between its parts: no empty part, no `.` or `..`, no backslash, no control character, in
/// Unicode normalisation form C. It stays beneath whatever folder it is opened from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RelPath(String);

/// Why a text is not such a path.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// Nothing, or nothing between two slashes.
    #[error("path has an empty part")]
    Empty,
    /// Starts at the root, or names a drive.
    #[error("path is absolute")]
    Absolute,
    /// `.` or `..`.
    #[error("path has a part that is '.' or '..'")]
    Dots,
    /// A backslash, a colon at a drive's place, NUL or another control character.
    #[error("path has a character that is not allowed")]
    Character,
    /// Over [`MAX_PATH_BYTES`], [`MAX_NAME_BYTES`] or [`MAX_DEPTH`].
    #[error("path is longer or deeper than allowed")]
    TooLong,
    /// Two spellings of one name would meet on some filesystems.
    #[error("path is not in Unicode normalisation form C")]
    NotNormalised,
    /// A name that Plugmend keeps for itself.
    #[error("path uses a name kept for the agent ('.plugmend…')")]
    Reserved,
}

impl RelPath {
    /// Checks a text.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        if text.len() > MAX_PATH_BYTES {
            return Err(InvalidPath::TooLong);
        }
        if text.starts_with('/') {
            return Err(InvalidPath::Absolute);
        }
        if text.chars().any(|c| c.is_control() || c == '\\' || is_bidi_control(c)) {
            return Err(InvalidPath::Character);
        }
        let mut depth = 0;
        for part in text.split('/') {
            depth += 1;
            check_part(part)?;
        }
        if depth > MAX_DEPTH {
            return Err(InvalidPath::TooLong);
        }
        if !unicode_normalization::is_nfc(text) {
            return Err(InvalidPath::NotNormalised);
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, outermost first; never empty.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// What the path becomes on a filesystem that ignores case and normalises: two files of one release may not share
    /// this.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// Whether `self` is `folder` or lies beneath it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.0
            .strip_prefix(&folder.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Compatibility form, full case folding (by way of upper case: `ß` meets `ss`) and without the characters that
/// filesystems with case folding pass over.
pub(super) fn fold(text: &str) -> String {
    text.nfkc()
        .filter(|c| !is_ignorable(*c))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

/// `Default_Ignorable_Code_Point` (Unicode 16, `DerivedCoreProperties.txt`).
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

fn check_part(part: &str) -> Result<(), InvalidPath> {
    match part {
        "" => Err(InvalidPath::Empty),
        "." | ".." => Err(InvalidPath::Dots),
        _ if part.len() > MAX_NAME_BYTES => Err(InvalidPath::TooLong),
        _ if part.starts_with(".plugmend") => Err(InvalidPath::Reserved),
        // `C:` and alternate data streams, on hosts that know them.
        _ if part.contains(':') => Err(InvalidPath::Character),
        _ => Ok(()),
    }
}

/// Characters that make a path read otherwise than it is (Unicode TR 36).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}')
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
