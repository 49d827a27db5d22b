//! What a manifest must keep to before anything is done with it.

use std::collections::HashMap;

use thiserror::Error;

use super::{
    codec::{self, CodecError},
    contents::{Content, EMPTY},
    limits::{
        MAX_FILE_BYTES, MAX_FILES, MAX_MANIFEST_BYTES, MAX_RELEASE_BYTES, MAX_SMOKE_MS, MAX_TEXT_BYTES, decompress,
    },
    manifest::{FORMAT, FileEntry, Manifest, SettingKey, SettingKind, SmokeTest},
    path::{RelPath, fold},
    remedy::{self, RemedyError},
};
use crate::{detect::IncidentType, ids::Digest};

/// Why a manifest is refused. Nothing of it has been used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST_BYTES`].
    #[error("manifest has more than {MAX_MANIFEST_BYTES} bytes")]
    TooLarge,
    /// Not JSON of this shape, or a limit of a list or a path was passed.
    #[error("manifest can not be read")]
    Syntax(#[source] serde_json::Error),
    /// Damaged, or a bomb.
    #[error("manifest can not be decompressed")]
    Compressed(#[source] CodecError),
    /// Written by a newer Plugmend.
    #[error("manifest has format {0}, this version reads {FORMAT}; install a newer agent")]
    Format(u32),
    /// The same content in another spelling: one release has one digest.
    #[error("manifest is not in its canonical form")]
    NotCanonical,
    /// A list that must be sorted, without repeats, is not.
    #[error("{0} are not sorted, or one comes twice")]
    Unsorted(&'static str),
    /// Two names meet on some filesystems, or a file stands where a folder is wanted.
    #[error("'{0}' collides with another path (by case, by Unicode form, or a file where a folder is wanted)")]
    Collision(String),
    /// More than the limits allow.
    #[error("{0} is over its limit")]
    Limit(&'static str),
    /// One digest with two lengths, or an empty file whose digest is not that of nothing.
    #[error("file '{0}' has a size that does not go with its digest")]
    Inconsistent(String),
    /// Settings that could carry code, or contradict themselves.
    #[error("settings are not allowed: {0}")]
    Settings(&'static str),
    /// A remedy that could not be carried out.
    #[error("the remedy for {against} is not allowed")]
    Remedy {
        /// What it is against.
        against: IncidentType,
        /// What is wrong with it.
        #[source]
        why: RemedyError,
    },
    /// A smoke test that can not be run.
    #[error("smoke test '{0}' is not allowed")]
    SmokeTest(String),
}

impl Manifest {
    /// Reads canonical bytes and checks every rule. Refuses quickly and within bounded memory.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge);
        }
        // serde_json stops at 128 levels of nesting; unknown fields, the only place for more, are refused.
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| newer_format(bytes, e))?;
        manifest.check()?;
        if manifest.to_bytes()? == bytes {
            Ok(manifest)
        } else {
            Err(ManifestError::NotCanonical)
        }
    }

    /// The same from `manifest.json.zst`; gives the canonical bytes as well.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and when the bytes are damaged or a bomb.
    pub fn parse_compressed(bytes: &[u8]) -> Result<(Self, Vec<u8>), ManifestError> {
        let bytes = decompress(bytes, MAX_MANIFEST_BYTES).map_err(ManifestError::Compressed)?;
        Ok((Self::parse(&bytes)?, bytes))
    }

    /// The canonical bytes, whose digest names the release.
    ///
    /// # Errors
    /// Only when a number is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        serde_json::to_vec(self).map_err(ManifestError::Syntax)
    }

    /// `manifest.json.zst`.
    ///
    /// # Errors
    /// As [`Manifest::to_bytes`].
    pub fn to_compressed(&self) -> Result<Vec<u8>, ManifestError> {
        codec::compress(&self.to_bytes()?, codec::LEVEL).map_err(ManifestError::Compressed)
    }

    /// The name of the release.
    ///
    /// # Errors
    /// As [`Manifest::to_bytes`].
    pub fn digest(&self) -> Result<Digest, ManifestError> {
        Ok(Digest::of(&self.to_bytes()?))
    }

    /// Each content once, in the order of its first file; what is empty is left out. Packs and deltas keep this order.
    pub fn contents(&self) -> Vec<Content> {
        let mut seen = std::collections::HashSet::with_capacity(self.files.len());
        let unique = self.files.iter().filter(|f| f.size > 0 && seen.insert(f.sha256));
        unique.map(Content::of).collect()
    }

    /// Paths that are the plugin's own data: carried from release to release. The settings file is one of them.
    pub fn preserved(&self) -> impl Iterator<Item = &RelPath> {
        let settings = self.settings.iter().map(|s| &s.file);
        let outside = settings.filter(|file| !self.preserve.iter().any(|p| file.is_within(p)));
        self.preserve.iter().chain(outside)
    }

    /// Bytes of all files, laid out.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, f| sum.saturating_add(f.size))
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.format != FORMAT {
            return Err(ManifestError::Format(self.format));
        }
        check_sizes(&self.files)?;
        sorted("preserved paths", &self.preserve)?;
        sorted("fixes", &self.fixes)?;
        check_tree(self)?;
        check_texts(self)?;
        self.settings.iter().try_for_each(|s| {
            // Anything else could be a program to somebody.
            if !s.file.as_str().to_ascii_lowercase().ends_with(".json") {
                return Err(ManifestError::Settings("the settings file's name must end in .json"));
            }
            s.keys.iter().try_for_each(|(name, key)| check_setting(name, key))
        })?;
        remedy::check(&self.remedies, self.settings.as_ref())
            .map_err(|(against, why)| ManifestError::Remedy { against, why })?;
        self.smoke_tests.iter().try_for_each(check_smoke)
    }
}

/// A newer format may have fields that this code does not know: say so rather than "unknown field".
fn newer_format(bytes: &[u8], error: serde_json::Error) -> ManifestError {
    #[derive(serde::Deserialize)]
    struct Peek {
        format: u32,
    }
    match serde_json::from_slice::<Peek>(bytes) {
        Ok(peek) if peek.format > FORMAT => ManifestError::Format(peek.format),
        _ => ManifestError::Syntax(error),
    }
}

fn sorted<T: Ord>(what: &'static str, list: &[T]) -> Result<(), ManifestError> {
    if list.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(ManifestError::Unsorted(what))
    }
}

fn check_sizes(files: &[FileEntry]) -> Result<(), ManifestError> {
    if files.len() > MAX_FILES {
        return Err(ManifestError::Limit("number of files"));
    }
    if !files.is_sorted_by(|a, b| a.path < b.path) {
        return Err(ManifestError::Unsorted("files"));
    }
    let mut total = 0u64;
    let mut sizes: HashMap<Digest, u64> = HashMap::with_capacity(files.len());
    for file in files {
        if file.size > MAX_FILE_BYTES {
            return Err(ManifestError::Limit("size of a file"));
        }
        total = total.saturating_add(file.size);
        let known = *sizes.entry(file.sha256).or_insert(file.size);
        if known != file.size || (file.size == 0) != (file.sha256 == EMPTY) {
            return Err(ManifestError::Inconsistent(file.path.to_string()));
        }
    }
    if total > MAX_RELEASE_BYTES {
        return Err(ManifestError::Limit("size of the release"));
    }
    Ok(())
}

/// What stands at one place of the tree, by its folded path.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// A file, or a preserved path: nothing else may be there or beneath.
    Leaf,
    /// A folder in exactly this spelling.
    Folder([u8; 16]),
}

/// Hashes stand for the paths, so that memory stays small whatever their length.
fn mark(text: &str) -> [u8; 16] {
    let Digest(full) = Digest::of(text.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
}

/// No two paths may meet where case or Unicode form is ignored, and what is a file may not be a folder too. Preserved
/// paths and the settings file are leaves like files: a release neither overwrites them nor lies within them.
fn check_tree(manifest: &Manifest) -> Result<(), ManifestError> {
    let files = manifest.files.iter().map(|f| &f.path);
    let mut places: HashMap<[u8; 16], Place> = HashMap::with_capacity(manifest.files.len() * 2);
    let mut folders = 0usize;
    let mut previous = "";
    for path in files.chain(manifest.preserved()) {
        let text = path.as_str();
        let clash = || ManifestError::Collision(text.to_owned());
        for (end, _) in text.match_indices('/') {
            let folder = &text[..end];
            // Already entered with the path before, in this very spelling.
            if previous.len() > end && previous.as_bytes()[end] == b'/' && previous.starts_with(folder) {
                continue;
            }
            let place = Place::Folder(mark(folder));
            match places.insert(mark(&fold(folder)), place) {
                None => folders += 1,
                Some(known) if known == place => {}
                Some(_) => return Err(clash()),
            }
            if folders > MAX_FILES {
                return Err(ManifestError::Limit("number of folders"));
            }
        }
        if places.insert(mark(&fold(text)), Place::Leaf).is_some() {
            return Err(clash());
        }
        previous = text;
    }
    Ok(())
}

fn check_texts(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.version.to_string().len() > 128 {
        return Err(ManifestError::Limit("length of the version"));
    }
    let names = manifest.fixes.iter().chain(manifest.compat.env.keys());
    if names.clone().any(|name| !is_name(name)) {
        return Err(ManifestError::Limit(
            "a name (letters, digits, '_', '-', '.'; at most 128)",
        ));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=128).contains(&text.len()) && text.chars().all(allowed)
}

fn check_setting(name: &str, key: &SettingKey) -> Result<(), ManifestError> {
    if !is_name(name) {
        return Err(ManifestError::Settings(
            "a key has a name that is too long or has odd characters",
        ));
    }
    let bounds = [key.min, key.max];
    if bounds.iter().flatten().any(|n| !n.is_finite()) || matches!(bounds, [Some(min), Some(max)] if min > max) {
        return Err(ManifestError::Settings("a smallest value is above its largest"));
    }
    let numeric = matches!(key.kind, SettingKind::Integer | SettingKind::Number);
    if !numeric && bounds.iter().any(Option::is_some) {
        return Err(ManifestError::Settings("bounds are for numbers"));
    }
    if key.kind != SettingKind::Text && !key.choices.is_empty() {
        return Err(ManifestError::Settings("choices are for texts"));
    }
    if key.choices.iter().any(|c| c.len() > MAX_TEXT_BYTES) {
        return Err(ManifestError::Settings("a choice is too long"));
    }
    Ok(())
}

fn check_smoke(test: &SmokeTest) -> Result<(), ManifestError> {
    let texts = test.argv.iter().chain([&test.name]).chain(&test.stdout_contains);
    let ok = !test.name.is_empty()
        && test.argv.first().is_some_and(|program| !program.is_empty())
        && texts.clone().all(|t| t.len() <= MAX_TEXT_BYTES && !t.contains('\0'))
        && (1..=MAX_SMOKE_MS).contains(&test.timeout_ms);
    if ok {
        Ok(())
    } else {
        Err(ManifestError::SmokeTest(test.name.chars().take(64).collect()))
    }
}
