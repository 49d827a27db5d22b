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
fn nothing_is_appended_to_what_leads_elsewhere() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    std::fs::write(at("precious"), "as it was").unwrap();
    std::os::unix::fs::symlink("precious", at("link")).unwrap();
    std::fs::hard_link(at("precious"), at("second")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), Mode::RWXU).unwrap();
    let dir = Dir::open(top.path()).unwrap();
    for bad in ["link", "second", "pipe"] {
        assert!(dir.append_file(Path::new(bad), 0o600).is_err(), "{bad} was opened");
    }
    for part in ["one ", "two"] {
        let mut file = dir.append_file(Path::new("own"), 0o600).unwrap();
        std::io::Write::write_all(&mut file, part.as_bytes()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(at("own")).unwrap(), "one two");
    assert_eq!(std::fs::read_to_string(at("precious")).unwrap(), "as it was");
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
