//! Which installed file a new one most likely grew from.

use std::collections::HashMap;

use crate::bundle::{contents::Content, manifest::Manifest};

/// Finds, for a content of the new release, the installed contents that are worth trying as its prefix.
pub(in crate::bundle) struct Ancestry<'a> {
    by_path: HashMap<&'a str, usize>,
    by_stem: HashMap<String, Vec<usize>>,
    paths: HashMap<crate::ids::Digest, Vec<&'a str>>,
}

/// How many namesakes are tried; the best wins.
const TRIES: usize = 4;

impl<'a> Ancestry<'a> {
    /// From both manifests; `installed` are the old one's contents.
    pub(in crate::bundle) fn new(from: &'a Manifest, to: &'a Manifest, installed: &[Content]) -> Self {
        let numbers: HashMap<_, _> = installed.iter().enumerate().map(|(i, c)| (c.digest, i)).collect();
        let mut by_path = HashMap::new();
        let mut by_stem: HashMap<String, Vec<usize>> = HashMap::new();
        for file in &from.files {
            if let Some(&number) = numbers.get(&file.sha256) {
                by_path.insert(file.path.as_str(), number);
                let namesakes = by_stem.entry(stem(file.path.as_str())).or_default();
                if !namesakes.contains(&number) && namesakes.len() < 64 {
                    namesakes.push(number);
                }
            }
        }
        let mut paths: HashMap<_, Vec<&str>> = HashMap::new();
        for file in &to.files {
            paths.entry(file.sha256).or_default().push(file.path.as_str());
        }
        Self {
            by_path,
            by_stem,
            paths,
        }
    }

    /// Numbers of installed contents, likeliest first: the same path, else the same name without what builds put into
    /// names, nearest in size.
    pub(in crate::bundle) fn candidates(&self, content: &Content, installed: &[Content]) -> Vec<usize> {
        let paths = self.paths.get(&content.digest).map_or(&[][..], Vec::as_slice);
        if let Some(number) = paths.iter().find_map(|p| self.by_path.get(p)) {
            return vec![*number];
        }
        let mut out: Vec<usize> = Vec::new();
        for path in paths {
            out.extend(self.by_stem.get(&stem(path)).into_iter().flatten());
        }
        out.sort_by_key(|i| {
            (
                installed.get(*i).map_or(u64::MAX, |c| c.size.abs_diff(content.size)),
                *i,
            )
        });
        out.dedup();
        out.truncate(TRIES);
        out
    }
}

/// The file's name without folders, and without parts that look like a hash or a version:
/// `js/main.3f9ac2d1.js` and `assets/main.77b0e6aa.js` are namesakes.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let parts = name.split_inclusive(['.', '-', '_']);
    parts.filter(|part| !looks_made(part)).collect()
}

fn looks_made(part: &str) -> bool {
    let part = part.trim_end_matches(['.', '-', '_']);
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let hex = part.len() >= 6 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let mixed = part.len() >= 8 && digits > 0 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    !part.is_empty() && (hex || mixed || digits == part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_of_one_file_are_namesakes() {
        assert_eq!(stem("js/main.3f9ac2d1.js"), stem("assets/main.77b0e6aa.js"));
        assert_eq!(stem("chunk-5KQ2ABCD.js"), stem("chunk-ZX81WWWW.js"));
        assert_ne!(stem("a/main.js"), stem("a/other.js"));
    }
}
