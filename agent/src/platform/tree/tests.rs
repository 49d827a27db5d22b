use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

const CODE: &[u8] = b"<?php pay();";

/// A tree with two signed files, and what it is compared with.
fn signed() -> (tempfile::TempDir, Dir, Vec<FileEntry>) {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("lib")).unwrap();
    let files = ["lib/a.php", "lib/b.php"].map(|path| {
        fs::write(top.path().join(path), CODE).unwrap();
        FileEntry {
            path: RelPath::new(path).unwrap(),
            exec: false,
            size: CODE.len() as u64,
            sha256: Digest::of(CODE),
        }
    });
    let dir = Dir::open(top.path()).unwrap();
    assert!(compare(&dir, &files, &[]).unwrap().none());
    (top, dir, files.to_vec())
}

#[test]
fn what_can_not_be_looked_into_hides_nothing() {
    let (top, dir, files) = signed();
    fs::write(top.path().join("shell.php"), "evil").unwrap();
    let deep = top.path().join("x/".repeat(MAX_DEPTH + 1));
    fs::create_dir_all(deep).unwrap();
    let found = compare(&dir, &files, &[]).unwrap();
    assert_eq!(found.count, 2, "{found:?}");
    assert!(found.paths.contains(&"shell.php".to_owned()), "{found:?}");
}

#[test]
fn a_file_in_a_folders_place_is_found_and_all_that_it_hides_is_missing() {
    let (top, dir, files) = signed();
    fs::remove_dir_all(top.path().join("lib")).unwrap();
    fs::write(top.path().join("lib"), "evil").unwrap();
    let found = compare(&dir, &files, &[]).unwrap();
    let counts = FoundCounts {
        changed: 0,
        missing: 2,
        extra: 1,
    };
    assert_eq!(found.counts, counts, "{found:?}");
}

#[test]
fn what_nobody_may_read_is_not_as_signed() {
    let (top, dir, files) = signed();
    let locked = top.path().join("lib/a.php");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads it all the same.
    let readable = fs::read(&locked).is_ok();
    assert_eq!(compare(&dir, &files, &[]).unwrap().none(), readable);
    fs::set_permissions(top.path().join("lib"), fs::Permissions::from_mode(0o000)).unwrap();
    let found = compare(&dir, &files, &[]).unwrap();
    fs::set_permissions(top.path().join("lib"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(found.none(), readable, "{found:?}");
    assert!(readable || found.paths.contains(&"lib".to_owned()), "{found:?}");
}
