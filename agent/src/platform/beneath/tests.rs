use super::*;

#[test]
fn a_link_on_the_way_is_not_followed() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("real")).unwrap();
    std::fs::write(top.path().join("real/file"), "x").unwrap();
    std::os::unix::fs::symlink("real", top.path().join("link")).unwrap();
    std::os::unix::fs::symlink("real/file", top.path().join("file-link")).unwrap();
    let dir = Dir::open(top.path()).unwrap();
    assert!(dir.open_file(Path::new("real/file")).is_ok());
    for bad in ["link/file", "file-link", "../x", "/etc/passwd", "real/../real/file"] {
        assert!(dir.open_file(Path::new(bad)).is_err(), "{bad} was opened");
    }
    let names = parts(Path::new("link/file")).unwrap();
    assert!(walk(dir.as_fd(), &names, OFlags::RDONLY).is_err());
}

#[test]
fn a_pipe_is_refused_at_once() {
    let top = tempfile::tempdir().unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, top.path().join("pipe"), Mode::RWXU).unwrap();
    assert!(Dir::open(top.path()).unwrap().open_file(Path::new("pipe")).is_err());
}

#[test]
fn an_exchange_swaps_two_entries() {
    let top = tempfile::tempdir().unwrap();
    std::fs::write(top.path().join("a"), "a").unwrap();
    std::fs::create_dir(top.path().join("b")).unwrap();
    let dir = Dir::open(top.path()).unwrap();
    dir.exchange(Path::new("a"), &dir, Path::new("b")).unwrap();
    assert_eq!(dir.kind(Path::new("a")).unwrap(), Some(FileType::Directory));
    assert_eq!(dir.kind(Path::new("b")).unwrap(), Some(FileType::RegularFile));
}
