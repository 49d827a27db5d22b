use std::{
    fs,
    path::{Path, PathBuf},
};

use plugmend_shared::bundle::path::RelPath;

use super::*;

struct Shop {
    _top: tempfile::TempDir,
    plugin: PathBuf,
    site: Site,
    entries: Vec<RelPath>,
    none: Vec<RelPath>,
}

fn shop() -> Shop {
    let top = tempfile::tempdir().unwrap();
    let plugin = top.path().join("pay");
    fs::create_dir(&plugin).unwrap();
    fs::write(plugin.join("pay.php"), "old").unwrap();
    let site = Site::open(&plugin).unwrap();
    Shop {
        _top: top,
        plugin,
        site,
        entries: vec![RelPath::new("pay.php").unwrap()],
        none: Vec::new(),
    }
}

impl Shop {
    fn layouts(&self) -> [Box<dyn Layout + '_>; 3] {
        let stub = Stub {
            site: &self.site,
            entries: &self.entries,
            preserve: &self.none,
        };
        [
            Box::new(Exchange(&self.site)),
            Box::new(Symlink(&self.site)),
            Box::new(stub),
        ]
    }

    fn stage(&self, name: &str, content: &str) -> Tree {
        let dir = self.site.work.create_dirs(Path::new(name), 0o755).unwrap();
        fs::write(dir.path().join("pay.php"), content).unwrap();
        tree(name, dir.identity().unwrap().st_ino)
    }
}

fn tree(name: &str, ino: u64) -> Tree {
    Tree {
        name: name.to_owned(),
        ino,
        version: semver::Version::new(1, 0, 0),
        digest: None,
    }
}

fn runs(layout: &dyn Layout) -> String {
    let active = layout.active().unwrap();
    fs::read_to_string(active.dir.path().join("pay.php")).unwrap()
}

#[test]
fn each_layout_goes_forth_and_back_and_doing_it_twice_does_no_harm() {
    for n in 0..3 {
        let shop = shop();
        let layout = &shop.layouts()[n];
        let zero = tree("r0-1.0.0", layout.active().unwrap().ino);
        let new = shop.stage("r1-2.0.0", "new");
        for _ in 0..2 {
            layout.prepare(&zero, &new).unwrap();
            assert_eq!(runs(layout.as_ref()), "old", "{}", layout.kind());
        }
        for _ in 0..2 {
            layout.flip(&zero, &new).unwrap();
            layout.settle(&zero, &new).unwrap();
            assert_eq!(runs(layout.as_ref()), "new", "{}", layout.kind());
        }
        assert!(layout.locate(&zero).unwrap().is_some(), "{}", layout.kind());
        assert_eq!(layout.trees().unwrap(), ["r0-1.0.0"], "{}", layout.kind());
        for _ in 0..2 {
            layout.prepare(&new, &zero).unwrap();
            layout.flip(&new, &zero).unwrap();
            layout.settle(&new, &zero).unwrap();
            assert_eq!(runs(layout.as_ref()), "old", "{}", layout.kind());
        }
        layout.discard("r1-2.0.0").unwrap();
        assert!(layout.trees().unwrap().is_empty(), "{}", layout.kind());
        crate::platform::tree::empty_trash(&shop.site).unwrap();
        assert!(shop.plugin.exists());
    }
}

#[test]
fn a_path_that_somebody_else_replaced_is_left_alone() {
    for n in 0..3 {
        let shop = shop();
        let layout = &shop.layouts()[n];
        let zero = tree("r0-1.0.0", layout.active().unwrap().ino);
        let new = shop.stage("r1-2.0.0", "new");
        layout.prepare(&zero, &new).unwrap();
        let other = tree("r9-9.0.0", 1);
        let refused = layout.flip(&other, &new);
        assert!(matches!(refused, Err(SwapError::Stranger(_))), "{}", layout.kind());
        assert_eq!(runs(layout.as_ref()), "old");
    }
}

#[test]
fn a_tree_that_is_gone_is_not_swapped_in() {
    for n in 0..3 {
        let shop = shop();
        let layout = &shop.layouts()[n];
        let zero = tree("r0-1.0.0", layout.active().unwrap().ino);
        let new = shop.stage("r1-2.0.0", "new");
        layout.prepare(&zero, &new).unwrap();
        layout.discard("r1-2.0.0").unwrap();
        assert!(layout.flip(&zero, &new).is_err(), "{}", layout.kind());
        assert_eq!(runs(layout.as_ref()), "old");
    }
}

#[test]
fn a_link_that_somebody_else_made_is_refused() {
    let shop = shop();
    let elsewhere = shop.plugin.with_file_name("elsewhere");
    fs::rename(&shop.plugin, &elsewhere).unwrap();
    std::os::unix::fs::symlink("elsewhere", &shop.plugin).unwrap();
    for layout in shop.layouts() {
        assert!(
            matches!(layout.active(), Err(SwapError::ForeignLink(_))),
            "{}",
            layout.kind()
        );
    }
}

#[test]
fn an_adoption_that_stopped_half_way_is_finished() {
    let shop = shop();
    let layouts = shop.layouts();
    let stub = &layouts[2];
    let zero = tree("r0-1.0.0", stub.active().unwrap().ino);
    let new = shop.stage("r1-2.0.0", "new");
    stub.prepare(&zero, &new).unwrap();
    // What lies there between the two exchanges: the path leads to the loader's folder by a link.
    let place = shop.site.work.path().join("stub");
    fs::remove_file(&place).unwrap();
    fs::rename(&shop.plugin, &place).unwrap();
    std::os::unix::fs::symlink(".plugmend-pay-stub", &shop.plugin).unwrap();
    assert_eq!(runs(stub.as_ref()), "old");
    stub.prepare(&zero, &new).unwrap();
    assert!(!shop.plugin.is_symlink());
    assert_eq!(runs(stub.as_ref()), "old");
    assert!(
        fs::read_to_string(shop.plugin.join("pay.php"))
            .unwrap()
            .contains(".plugmend-current")
    );
    // Who remembers the path from half way still finds the plugin there.
    assert!(place.join(".plugmend-current").exists());
}

#[test]
fn a_deep_tree_is_deleted_with_one_folder_open_at_a_time() {
    let shop = shop();
    let mut deep = shop.site.work.create_dirs(Path::new("r1-x"), 0o755).unwrap();
    for _ in 0..300 {
        fs::write(
            format!(
                "/proc/self/fd/{}/f",
                std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&deep))
            ),
            "x",
        )
        .unwrap();
        deep = deep.create_dirs(Path::new("a-folder-with-a-long-name"), 0o755).unwrap();
    }
    shop.layouts()[0].discard("r1-x").unwrap();
    crate::platform::tree::empty_trash(&shop.site).unwrap();
    assert_eq!(fs::read_dir(shop.site.work.path().join(TRASH)).unwrap().count(), 0);
}
