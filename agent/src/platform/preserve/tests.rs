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

/// A file that an old tree is left with a link to, and what runs instead.
struct Left {
    shop: Shop,
    old: Dir,
}

fn left(content: &str) -> Left {
    let shop = shop();
    let old = shop.site.work.create_dirs(Path::new("r0-1.0.0"), 0o755).unwrap();
    for tree in [&old, &shop.tree()] {
        shop.site.attach(tree, &rel("s.json")).unwrap();
    }
    fs::write(shop.shared("s.json"), content).unwrap();
    shop.site.remember(old.identity().unwrap().st_ino, &[rel("s.json")]);
    Left { shop, old }
}

impl Left {
    /// The old version saves by renaming.
    fn save(&self, content: &str) {
        fs::write(self.old.path().join("t"), content).unwrap();
        fs::rename(self.old.path().join("t"), self.old.path().join("s.json")).unwrap();
    }

    fn sweep(&self) -> Swept {
        let swept = self.shop.site.sweep(&self.old, &self.shop.tree(), &rel("s.json"));
        assert!(self.old.path().join("s.json").is_symlink());
        swept.unwrap()
    }

    /// What the running version reads.
    fn seen(&self) -> String {
        fs::read_to_string(self.shop.plugin.join("s.json")).unwrap()
    }
}

#[test]
fn late_writes_of_the_old_version_are_swept_up_each_time() {
    let left = left("before");
    assert_eq!(left.sweep(), Swept::Clean);
    let mut replaced = "before";
    for late in ["late", "later", "last"] {
        left.save(late);
        let Swept::TakenIn(Some(kept)) = left.sweep() else {
            panic!("{late} was not taken in");
        };
        assert_eq!(left.seen(), late);
        assert_eq!(fs::read_to_string(kept).unwrap(), replaced);
        replaced = late;
    }
}

#[test]
fn a_late_save_never_replaces_what_the_new_version_wrote() {
    let append = |path: PathBuf| {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b" and an order").unwrap();
    };
    let left = left("before");
    append(left.shop.plugin.join("s.json"));
    left.save("late");
    let Swept::Kept(kept) = left.sweep() else {
        panic!("the order is gone");
    };
    assert_eq!(left.seen(), "before and an order");
    assert_eq!(fs::read_to_string(kept).unwrap(), "late");
}

#[test]
fn a_late_save_never_hides_behind_the_new_versions_own_file() {
    let left = left("before");
    let own = left.shop.plugin.join("s.json");
    fs::write(left.shop.plugin.join("t"), "new").unwrap();
    fs::rename(left.shop.plugin.join("t"), own).unwrap();
    left.save("late");
    assert!(matches!(left.sweep(), Swept::Kept(_)));
    left.shop.site.absorb(&left.shop.tree(), &rel("s.json")).unwrap();
    assert_eq!(left.seen(), "new");
}

#[test]
fn where_nobody_knows_which_write_came_first_both_are_kept() {
    let left = left("before");
    left.shop.site.before.forget();
    left.save("late");
    assert!(matches!(left.sweep(), Swept::Kept(_)));
    assert_eq!(left.seen(), "before");
}

#[test]
fn what_a_tree_left_long_ago_holds_is_never_the_newest() {
    let left = left("before");
    left.save("late");
    // Another swap since, and nobody has written after it.
    left.shop.site.remember(1, &[rel("s.json")]);
    assert!(matches!(left.sweep(), Swept::Kept(_)));
    assert_eq!(left.seen(), "before");
}

#[test]
fn late_data_where_there_is_none_is_the_shops() {
    let left = left("before");
    fs::remove_file(left.shop.shared("s.json")).unwrap();
    let ino = left.old.identity().unwrap().st_ino;
    left.shop.site.remember(ino, &[rel("s.json")]);
    left.save("late");
    assert_eq!(left.sweep(), Swept::TakenIn(None));
    assert_eq!(left.seen(), "late");
    left.save("later");
    assert!(matches!(left.sweep(), Swept::TakenIn(Some(_))));
    assert_eq!(left.seen(), "later");
}

#[test]
fn a_copy_that_another_process_wrote_to_later_is_kept_and_told() {
    let shop = shop();
    fs::write(shop.plugin.join("s.json"), "one").unwrap();
    shop.site.absorb(&shop.tree(), &rel("s.json")).unwrap();
    fs::remove_file(shop.plugin.join("s.json")).unwrap();
    fs::write(shop.plugin.join("s.json"), "own").unwrap();
    let shared = fs::OpenOptions::new().append(true).open(shop.shared("s.json")).unwrap();
    let own = fs::metadata(shop.plugin.join("s.json")).unwrap().modified().unwrap();
    shared.set_modified(own + std::time::Duration::from_mins(1)).unwrap();
    let kept = shop.site.absorb(&shop.tree(), &rel("s.json")).unwrap().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "one");
    assert_eq!(fs::read_to_string(shop.plugin.join("s.json")).unwrap(), "own");
}

#[test]
fn data_that_both_sides_changed_is_kept_twice_and_told() {
    let shop = shop();
    let old = shop.site.work.create_dirs(Path::new("r0-1.0.0"), 0o755).unwrap();
    shop.site.attach(&shop.tree(), &rel("uploads")).unwrap();
    fs::create_dir(old.path().join("uploads")).unwrap();
    fs::write(old.path().join("uploads/late"), "late").unwrap();
    fs::create_dir(shop.shared("uploads")).unwrap();
    fs::write(shop.shared("uploads/new"), "new").unwrap();
    let Swept::Kept(kept) = shop.site.sweep(&old, &shop.tree(), &rel("uploads")).unwrap() else {
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
