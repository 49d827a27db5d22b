//! Copies of files that are not as signed, for whoever looks into it later: healing throws the tree away. Kept in the
//! agent's own folder, which the plugin can not write, and bounded.

use std::path::{Path, PathBuf};

use plugmend_shared::{
    ids::Digest,
    protocol::heartbeat::{FoundFile, FoundKind},
};
use rustix::fs::FileType;

use super::{Engine, integrity::Integrity};
use crate::platform::{beneath::Dir, durable, error::FsError, tree};

/// The agent's folder for it.
const EVIDENCE: &str = "evidence";
/// Sets that are kept; the oldest gives way.
const MAX_SETS: usize = 5;
/// Files copied into one set.
const MAX_COPIES: usize = 20;
/// The longest file that is copied whole; of a longer one only the digest is told. In bytes.
const MAX_COPY: u64 = 256 * 1024;
/// The longest file that is hashed for it, in bytes.
const MAX_HASHED: i64 = 64 * 1024 * 1024;

impl<T> Engine<T> {
    /// Adds digests of what is there to what was found.
    pub(super) fn name_found(active: &Dir, found: Vec<FoundFile>) -> Vec<FoundFile> {
        let named = |mut file: FoundFile| {
            let path = Path::new(&file.path);
            let small = matches!(active.stat(path), Ok(Some(stat))
                if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size <= MAX_HASHED);
            if small && file.kind != FoundKind::Missing {
                let hashed = active.open_file(path).and_then(|open| tree::hash(open, path));
                file.sha256 = hashed.ok().map(|(digest, _)| digest);
            }
            file
        };
        found.into_iter().map(named).collect()
    }

    /// Keeps a copy of what was found, once for the same findings. Where.
    pub(super) fn keep_evidence(&self, active: &Dir, integrity: &Integrity) -> Result<String, FsError> {
        let list = serde_json::to_vec_pretty(&integrity.found).unwrap_or_default();
        let mark = Digest::of(&list).short();
        let sets = self.state.create_dirs(Path::new(EVIDENCE), 0o700)?;
        let names: Vec<String> = (sets.entries()?.into_iter())
            .filter_map(|(name, _)| name.into_string().ok())
            .collect();
        let place = |name: &str| format!("{EVIDENCE}/{name}");
        if let Some(known) = names.iter().find(|name| name.ends_with(&format!("-{mark}"))) {
            return Ok(place(known));
        }
        // Seconds since the epoch have ten digits for long, so that names sort by time.
        let mut old: Vec<&String> = names.iter().collect();
        old.sort();
        for name in old.iter().take(names.len().saturating_sub(MAX_SETS - 1)) {
            remove_set(&sets, Path::new(name))?;
        }
        let name = format!("{}-{mark}", integrity.checked_at.as_second().max(0));
        let set = sets.create_dirs(Path::new(&name), 0o700)?;
        let copied = integrity.found.iter().filter(|file| file.kind != FoundKind::Missing);
        for (n, file) in copied.take(MAX_COPIES).enumerate() {
            // What can not be read, or is too long, is in the list all the same.
            if let Ok(Some(bytes)) = durable::read_bounded(active, Path::new(&file.path), MAX_COPY) {
                durable::write_atomic(&set, &copy_name(n, &file.path), &bytes, 0o600)?;
            }
        }
        durable::write_atomic(&set, Path::new("found.json"), &list, 0o600)?;
        sets.sync()?;
        Ok(place(&name))
    }
}

/// A name that no path can escape by, and no program runs by.
fn copy_name(n: usize, path: &str) -> PathBuf {
    let leaf = path.rsplit('/').next().unwrap_or_default();
    let plain: String = leaf
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .take(80)
        .collect();
    PathBuf::from(format!("{n}-{plain}.found"))
}

fn remove_set(sets: &Dir, name: &Path) -> Result<(), FsError> {
    let set = sets.open_dir(name)?;
    for (file, _) in set.entries()? {
        set.remove_file(Path::new(&file))?;
    }
    sets.remove_empty_dir(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_plain_names() {
        assert_eq!(copy_name(3, "lib/../e vil\n.php"), PathBuf::from("3-e_vil_.php.found"));
    }
}
