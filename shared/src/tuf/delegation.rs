//! Which delegated role answers for a path.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    error::Error,
    key::{Key, KeyId},
    metadata::check_keys,
    targets::{DelegatedRole, Delegations, Targets},
};
use crate::ids::Digest;

/// Many bins with the same keys, told apart by the hash of the path (TAP 15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccinctRoles {
    /// Names of the bins' keys.
    pub keyids: Vec<KeyId>,
    /// Signatures of distinct keys that are needed.
    pub threshold: u32,
    /// How many leading bits of the path's SHA-256 name the bin, 1 to 32.
    pub bit_length: u8,
    /// What the bins' names start with.
    pub name_prefix: String,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl SuccinctRoles {
    pub(super) fn check(&self, role: &str) -> Result<(), Error> {
        if !(1..=32).contains(&self.bit_length) {
            return Err(Error::rule(role, "bit_length must be 1 to 32"));
        }
        check_keys(&self.keyids, self.threshold, role)
    }

    /// The name of the bin that answers for `path`.
    pub fn bin_of(&self, path: &str) -> String {
        let [a, b, c, d, ..] = Digest::of(path.as_bytes()).0;
        let bin = u32::from_be_bytes([a, b, c, d]) >> (32 - u32::from(self.bit_length));
        format!("{}-{bin:0width$x}", self.name_prefix, width = self.digits())
    }

    fn digits(&self) -> usize {
        usize::from(self.bit_length).div_ceil(4)
    }

    fn has_bin(&self, role: &str) -> bool {
        let Some(digits) = role.strip_prefix(&self.name_prefix).and_then(|r| r.strip_prefix('-')) else {
            return false;
        };
        digits.len() == self.digits()
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && u64::from_str_radix(digits, 16).is_ok_and(|bin| bin < 1 << self.bit_length)
    }
}

/// Who must sign for a delegated role.
#[derive(Debug, Clone, Copy)]
pub struct Signers<'a> {
    /// The delegating document's keys.
    pub keys: &'a std::collections::BTreeMap<KeyId, Key>,
    /// Names of the keys that count.
    pub keyids: &'a [KeyId],
    /// How many of them are needed.
    pub threshold: u32,
}

impl Delegations {
    /// Who must sign for `role`; `None` when it is not delegated to here.
    pub fn signers(&self, role: &str) -> Option<Signers<'_>> {
        if let Some(bins) = self.succinct_roles.as_ref().filter(|bins| bins.has_bin(role)) {
            return Some(Signers {
                keys: &self.keys,
                keyids: &bins.keyids,
                threshold: bins.threshold,
            });
        }
        let found = self.roles.iter().flatten().find(|r| r.name == role)?;
        Some(Signers {
            keys: &self.keys,
            keyids: &found.keyids,
            threshold: found.threshold,
        })
    }

    /// The roles that answer for `path`, most important first, and whether each ends the search.
    pub fn roles_for(&self, path: &str) -> Vec<(String, bool)> {
        if let Some(bins) = &self.succinct_roles {
            return vec![(bins.bin_of(path), true)];
        }
        let roles = self.roles.iter().flatten();
        roles
            .filter(|role| role.answers_for(path))
            .map(|role| (role.name.clone(), role.terminating))
            .collect()
    }
}

impl Targets {
    /// Like [`Delegations::roles_for`]; empty without delegations.
    pub fn roles_for(&self, path: &str) -> Vec<(String, bool)> {
        self.delegations.as_ref().map(|d| d.roles_for(path)).unwrap_or_default()
    }
}

impl DelegatedRole {
    /// Whether this role may sign for `path`.
    pub fn answers_for(&self, path: &str) -> bool {
        if let Some(prefixes) = &self.path_hash_prefixes {
            let digest = Digest::of(path.as_bytes()).to_string();
            return prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()));
        }
        self.paths.iter().flatten().any(|pattern| matches(pattern, path))
    }
}

/// Shell patterns, folder by folder: `*` and `?` never stand for a `/`, and there must be as many folders in both.
fn matches(pattern: &str, path: &str) -> bool {
    let mut patterns = pattern.split('/');
    let mut names = path.split('/');
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if matches_name(pattern, name) => {}
            _ => return false,
        }
    }
}

/// Linear in practice and at worst the product of both lengths: after a mismatch only the last `*` is widened.
fn matches_name(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashed(prefixes: &[&str]) -> DelegatedRole {
        DelegatedRole {
            name: "bin".into(),
            keyids: vec![],
            threshold: 1,
            terminating: false,
            paths: None,
            path_hash_prefixes: Some(prefixes.iter().map(|p| (*p).to_owned()).collect()),
            extra: Map::new(),
        }
    }

    proptest! {
        #[test]
        fn a_star_matches_every_name_without_a_slash(name in "[^/]*") {
            prop_assert!(matches("*", &name));
            prop_assert!(matches("a/*", &["a/", &name].concat()));
            prop_assert!(!matches("*", &[&name, "/x"].concat()));
        }

        #[test]
        fn matching_never_panics(pattern in "[*?ab/]{0,24}", path in "[ab/]{0,24}") {
            let _ = matches(&pattern, &path);
        }
    }

    #[test]
    fn patterns_match_folder_by_folder() {
        for (pattern, path) in [
            ("shop/*/*", "shop/1.0/pack"),
            ("*.tgz", "a.tgz"),
            ("a?c", "abc"),
            ("a*b*c", "axxbyyc"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("shop/*/*", "shop/1.0/a/b"),
            ("shop/*/*", "shop/1.0"),
            ("shop/*/*", "other/1.0/pack"),
            ("*", "a/b"),
            ("a?c", "a/c"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn hash_prefixes_are_of_the_path_s_sha256() {
        let digest = Digest::of(b"dir/file").to_string();
        assert!(hashed(&["00", &digest[..4]]).answers_for("dir/file"));
        assert!(hashed(&[&digest]).answers_for("dir/file"));
        assert!(!hashed(&[&digest[..4]]).answers_for("dir/other"));
        assert!(!hashed(&[&digest[1..5]]).answers_for("dir/file"));
        assert!(!hashed(&[]).answers_for("dir/file"));
    }

    #[test]
    fn a_bin_is_named_by_the_leading_bits() {
        let bins = SuccinctRoles {
            keyids: vec![],
            threshold: 1,
            bit_length: 5,
            name_prefix: "bin".into(),
            extra: Map::new(),
        };
        let first = Digest::of(b"file").0[0];
        assert_eq!(bins.bin_of("file"), format!("bin-{:02x}", first >> 3));
        assert!(bins.has_bin("bin-00") && bins.has_bin("bin-1f"));
        for wrong in ["bin-20", "bin-1F", "bin-0", "bin-000", "bin", "bin-+1", "other-00"] {
            assert!(!bins.has_bin(wrong), "{wrong}");
        }
    }
}
