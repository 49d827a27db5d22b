//! Building from a folder.

use std::{fs, os::unix::fs::PermissionsExt};

use cap_std::{ambient_authority, fs::Dir};
use plugmend_shared::bundle::{
    path::RelPath,
    tree::{Tree, TreeError},
};

fn open(path: &std::path::Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

#[test]
fn a_folder_gives_the_same_files_whenever_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("lib/.git")).unwrap();
    fs::write(dir.path().join("lib/.git/HEAD"), "x").unwrap();
    fs::write(dir.path().join("lib/b.js"), "b").unwrap();
    fs::write(dir.path().join("lib-a"), "a").unwrap();
    fs::write(dir.path().join("run.sh"), "#!").unwrap();
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.path().join("cache")).unwrap();
    fs::write(dir.path().join("cache/left"), "data").unwrap();
    let tree = Tree::read(open(dir.path()), &[RelPath::new("cache").unwrap()]).unwrap();
    let listed: Vec<_> = tree.files.iter().map(|f| (f.path.as_str(), f.exec)).collect();
    assert_eq!(listed, [("lib-a", false), ("lib/b.js", false), ("run.sh", true)]);
    assert_eq!(tree.left_out, [RelPath::new("cache").unwrap()]);
}

#[test]
fn links_and_pipes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
    assert!(matches!(Tree::read(open(dir.path()), &[]), Err(TreeError::NotPlain(p)) if p == "link"));
    fs::remove_file(dir.path().join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    assert!(matches!(Tree::read(open(dir.path()), &[]), Err(TreeError::NotPlain(p)) if p == "socket"));
}
