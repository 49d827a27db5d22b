//! Releases that hurt this host once. They are not tried again until something has changed that could matter.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use plugmend_shared::ids::Digest;
use serde::{Deserialize, Serialize};

/// The most entries kept; the oldest gives way.
pub const MAX_ENTRIES: usize = 64;

/// One release that was taken back here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub digest: Digest,
    /// Its version, for people.
    pub version: semver::Version,
    /// Why it was taken back.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// What the host was like then, see [`surroundings`].
    pub surroundings: Digest,
}

/// What could make a release behave differently here: the versions of what it runs on, the agent's, the settings.
pub fn surroundings(env: &BTreeMap<String, String>, agent: &str, settings: Option<Digest>) -> Digest {
    let mut text = format!("agent={agent}\n");
    for (name, value) in env {
        let _ = writeln!(text, "{name:?}={value:?}");
    }
    if let Some(settings) = settings {
        let _ = writeln!(text, "settings={settings}");
    }
    Digest::of(text.as_bytes())
}

/// The entry that forbids `digest` while the host is as it was.
pub fn find<'a>(entries: &'a [Entry], digest: &Digest, surroundings: &Digest) -> Option<&'a Entry> {
    entries
        .iter()
        .find(|entry| entry.digest == *digest && entry.surroundings == *surroundings)
}

/// Adds an entry, in place of an older one for the same release.
pub fn add(entries: &mut Vec<Entry>, entry: Entry) {
    entries.retain(|old| old.digest != entry.digest);
    entries.push(entry);
    if entries.len() > MAX_ENTRIES {
        entries.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u32, surroundings: Digest) -> Entry {
        Entry {
            digest: Digest::of(&n.to_be_bytes()),
            version: semver::Version::new(1, 0, 0),
            reason: "it answered 500".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            surroundings,
        }
    }

    #[test]
    fn a_release_is_held_back_until_the_host_changes() {
        let before = surroundings(&BTreeMap::from([("php".to_owned(), "8.1".to_owned())]), "0.1.0", None);
        let after = surroundings(&BTreeMap::from([("php".to_owned(), "8.2".to_owned())]), "0.1.0", None);
        let entries = [entry(1, before)];
        assert!(find(&entries, &entries[0].digest, &before).is_some());
        assert!(find(&entries, &entries[0].digest, &after).is_none());
    }

    #[test]
    fn the_list_is_bounded_and_names_each_release_once() {
        let mut entries = Vec::new();
        for n in 0..200 {
            add(&mut entries, entry(n % 100, Digest::of(b"")));
        }
        assert_eq!(entries.len(), MAX_ENTRIES);
    }
}
