//! The rules of the house, checked on the source text: who may import whom, how long a file may be, which crates may
//! come in. `tests/tests/house.rs` says them as tests.

mod floors;
mod lock;
mod paths;
mod source;

use std::path::{Path, PathBuf};

pub use self::{
    floors::{AGENT, CONTROL_PLANE, Floors, misplaced_imports},
    lock::{BANNED_CRATES, banned_crates, unknown_licences},
    paths::{crate_roots_named, without_comments},
    source::{SourceFile, rust_files},
};

/// The root of the workspace that this harness was built from.
pub fn workspace() -> &'static Path {
    // tests/ lies directly below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The longest a source file may be, in lines.
pub const MAX_LINES: usize = 400;

/// Files that are longer than [`MAX_LINES`], with their lengths.
pub fn overlong(files: &[SourceFile]) -> Vec<(PathBuf, usize)> {
    files
        .iter()
        .map(|file| (file.path.clone(), file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .collect()
}

/// Files outside of `home` (a folder from the workspace's root) whose code names one of the crates `names`. Unit tests
/// may: they make errors and rows to look at how they are treated.
pub fn strays(files: &[SourceFile], names: &[&str], home: &str) -> Vec<PathBuf> {
    files
        .iter()
        .filter(|file| !file.path.starts_with(home))
        .filter(|file| {
            let text = without_comments(without_tests(&file.text));
            names.iter().any(|name| mentions_crate(&text, name))
        })
        .map(|file| file.path.clone())
        .collect()
}

/// The text before the file's inline tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// `name::` that is not the tail of a longer name.
fn mentions_crate(text: &str, name: &str) -> bool {
    let needle = format!("{name}::");
    text.match_indices(&needle).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_told_from_a_longer_name_and_from_a_module() {
        assert!(mentions_crate("use sled::Db;", "sled"));
        assert!(!mentions_crate("use bobsled::Db;", "sled"));
        assert!(!mentions_crate("crate::sled::x", "sled"));
    }
}
