use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use super::*;

struct Shop {
    _top: tempfile::TempDir,
    plugin: PathBuf,
    site: Site,
}

fn shop() -> Shop {
    let top = tempfile::tempdir().unwrap();
    let plugin = top.path().join("pay");
    fs::create_dir(&plugin).unwrap();
    let site = Site::open(&plugin).unwrap();
    Shop {
        _top: top,
        plugin,
        site,
    }
}

fn rel(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

impl Shop {
    fn tree(&self) -> Dir {
        Dir::open(&self.plugin).unwrap()
    }

    fn shared(&self, name: &str) -> PathBuf {
        self.site.work.path().join(SHARED).join(name)
    }
}

#[test]
fn data_is_reachable_under_its_old_path_after_it_was_taken_in() {
    let shop = shop();
    fs::create_dir_all(shop.plugin.join("data/orders")).unwrap();
    fs::write(shop.plugin.join("data/orders/1"), "one").unwrap();
    for _ in 0..2 {
        shop.site.absorb(&shop.tree(), &rel("data/orders")).unwrap();
        assert_eq!(fs::read_to_string(shop.plugin.join("data/orders/1")).unwrap(), "one");
        assert!(shop.shared("data/orders").is_dir());
    }
}

#[test]
fn a_file_that_is_open_goes_on_being_written() {
    let shop = shop();
    let path = shop.plugin.join("orders.log");
    let mut open = fs::File::create(&path).unwrap();
    open.write_all(b"one\n").unwrap();
    shop.site.absorb(&shop.tree(), &rel("orders.log")).unwrap();
    open.write_all(b"two\n").unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"three\n")
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn a_file_saved_by_rename_is_taken_in_again_and_the_older_copy_is_kept() {
    let shop = shop();
    let path = shop.plugin.join("settings.json");
    fs::write(&path, "old").unwrap();
    shop.site.absorb(&shop.tree(), &rel("settings.json")).unwrap();
    fs::write(shop.plugin.join("tmp"), "new").unwrap();
    fs::rename(shop.plugin.join("tmp"), &path).unwrap();
    shop.site.absorb(&shop.tree(), &rel("settings.json")).unwrap();
    assert!(path.is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::read_to_string(shop.shared("settings.json")).unwrap(), "new");
    let kept = shop.site.work.path().join(KEPT).join("r-settings.json.0");
    assert_eq!(fs::read_to_string(kept).unwrap(), "old");
}

#[test]
fn a_path_without_data_gets_a_folder_or_waits_for_its_file() {
    let shop = shop();
    shop.site.absorb(&shop.tree(), &rel("uploads")).unwrap();
    fs::write(shop.plugin.join("uploads/a"), "a").unwrap();
    assert!(shop.shared("uploads/a").is_file());
    shop.site.absorb(&shop.tree(), &rel("state.db")).unwrap();
    fs::write(shop.plugin.join("state.db"), "made through the link").unwrap();
    assert!(shop.shared("state.db").is_file());
}

#[test]
fn a_try_that_was_interrupted_before_the_exchange_is_finished_by_the_next() {
    let shop = shop();
    fs::write(shop.plugin.join("f.txt"), "data").unwrap();
    let text = link_text(&shop.site.work_name, &rel("f.txt"));
    std::os::unix::fs::symlink(text, shop.shared("f.txt")).unwrap();
    shop.site.absorb(&shop.tree(), &rel("f.txt")).unwrap();
    assert_eq!(fs::read_to_string(shop.plugin.join("f.txt")).unwrap(), "data");
    assert!(!shop.shared("f.txt").is_symlink());
}

#[test]
fn a_relative_link_of_the_host_is_refused_and_left_alone() {
    let shop = shop();
    std::os::unix::fs::symlink("../elsewhere", shop.plugin.join("uploads")).unwrap();
    let refused = shop.site.absorb(&shop.tree(), &rel("uploads"));
    assert!(matches!(refused, Err(PreserveError::RelativeLink(_))));
    assert_eq!(
        fs::read_link(shop.plugin.join("uploads")).unwrap(),
        Path::new("../elsewhere")
    );
}

#[test]
fn late_writes_of_the_old_version_are_swept_up() {
    let shop = shop();
    let old = shop.site.work.create_dirs(Path::new("r0-1.0.0"), 0o755).unwrap();
    shop.site.attach(&old, &rel("s.json")).unwrap();
    fs::write(shop.shared("s.json"), "before").unwrap();
    assert_eq!(shop.site.sweep(&old, &rel("s.json")).unwrap(), Swept::Clean);
    fs::write(old.path().join("t"), "late").unwrap();
    fs::rename(old.path().join("t"), old.path().join("s.json")).unwrap();
    assert_eq!(shop.site.sweep(&old, &rel("s.json")).unwrap(), Swept::TakenIn);
    assert_eq!(fs::read_to_string(shop.shared("s.json")).unwrap(), "late");
    assert_eq!(fs::read_to_string(old.path().join("s.json")).unwrap(), "late");
}

#[test]
fn data_that_both_sides_changed_is_kept_twice_and_told() {
    let shop = shop();
    let old = shop.site.work.create_dirs(Path::new("r0-1.0.0"), 0o755).unwrap();
    fs::create_dir(old.path().join("uploads")).unwrap();
    fs::write(old.path().join("uploads/late"), "late").unwrap();
    fs::create_dir(shop.shared("uploads")).unwrap();
    let Swept::Kept(kept) = shop.site.sweep(&old, &rel("uploads")).unwrap() else {
        panic!("nothing was kept");
    };
    assert_eq!(fs::read_to_string(kept.join("late")).unwrap(), "late");
    assert!(old.path().join("uploads").is_symlink());
}

#[test]
fn data_that_a_release_brought_is_the_plugins_own_from_then_on() {
    let shop = shop();
    fs::write(shop.plugin.join("s.json"), "brought").unwrap();
    shop.site.seed(&shop.tree(), &rel("s.json")).unwrap();
    fs::write(shop.plugin.join("s.json"), "another release's").unwrap();
    shop.site.seed(&shop.tree(), &rel("s.json")).unwrap();
    assert_eq!(fs::read_to_string(shop.shared("s.json")).unwrap(), "brought");
}

/// After a power cut the name would otherwise be there and nothing in it.
#[cfg(feature = "failpoints")]
#[test]
fn a_copy_is_on_the_disk_before_it_has_its_name() {
    let top = tempfile::tempdir().unwrap();
    let trace = top.path().join("trace");
    let seeds = "platform::preserve::tests::data_that_a_release_brought_is_the_plugins_own_from_then_on";
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", seeds])
        .env("PLUGMEND_FAULT_TRACE", &trace)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let trace = fs::read_to_string(trace).unwrap();
    let at = |point: &str| trace.lines().position(|line| line == point);
    let (synced, named) = (at("tree.copy.sync"), at("platform.beneath.before_rename"));
    assert!(synced.is_some() && synced < named, "{trace}");
}
