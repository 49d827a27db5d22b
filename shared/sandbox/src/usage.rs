//! How much is in use: memory of a process and all below it, and bytes in a folder.

use std::{fs, path::Path};

/// Processes that are looked at: more than any limit lets a test have.
const MAX_PROCESSES: usize = 4096;
/// Entries of a folder that are looked at; so many count as too much.
const MAX_ENTRIES: u64 = 20_000;
const MAX_DEPTH: usize = 128;

/// Memory of everything below process `root`, in bytes. What several share is counted once per process at first, and
/// looked at closely only where that is more than `limit`.
pub(crate) fn memory_below(root: u32, limit: u64) -> u64 {
    let processes = below(root);
    let rough: u64 = processes.iter().map(|pid| field(*pid, "status", "VmRSS:")).sum();
    if rough <= limit {
        return rough;
    }
    let share = |pid: &u32| match field(*pid, "smaps_rollup", "Pss:") {
        0 => field(*pid, "status", "VmRSS:"),
        pss => pss,
    };
    processes.iter().map(share).sum()
}

/// Every process below `root`, by the kernel's own lists.
fn below(root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(pid) = waiting.pop() {
        let threads = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for thread in threads.take(MAX_PROCESSES) {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        if pid != root {
            found.push(pid);
        }
        if found.len() + waiting.len() > MAX_PROCESSES {
            break;
        }
    }
    found
}

/// A field of kilobytes, in bytes; 0 where it is not there.
fn field(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

/// Bytes of the files in a folder, links not followed. A folder with far too many entries counts as too large.
pub(crate) fn bytes_in(folder: &Path) -> u64 {
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    let mut waiting = vec![(folder.to_owned(), 0)];
    while let Some((at, depth)) = waiting.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            entries += 1;
            if entries > MAX_ENTRIES || depth > MAX_DEPTH {
                return u64::MAX;
            }
            let Ok(meta) = fs::symlink_metadata(entry.path()) else {
                continue;
            };
            if meta.is_dir() {
                waiting.push((entry.path(), depth + 1));
            }
            bytes = bytes.saturating_add(meta.len());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_memory_is_seen() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let own = std::process::id();
        // It may not have become sleep yet; it has memory in either case.
        assert!(memory_below(own, u64::MAX) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn bytes_of_a_folder_are_counted_without_following_links() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("below")).unwrap();
        fs::write(home.path().join("below/file"), [0; 1000]).unwrap();
        std::os::unix::fs::symlink("/usr", home.path().join("link")).unwrap();
        let bytes = bytes_in(home.path());
        assert!((1000..100_000).contains(&bytes), "{bytes}");
    }
}
