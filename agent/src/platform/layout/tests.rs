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
    own: Vec<RelPath>,
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
        own: Vec::new(),
    }
}

impl Shop {
    fn layouts(&self) -> [Box<dyn Layout + '_>; 3] {
        let stub = Stub {
            site: &self.site,
            entries: &self.entries,
            preserve: &self.own,
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
fn an_adoption_that_stopped_before_the_exchange_is_begun_anew_or_taken_back() {
    let shop = shop();
    let layouts = shop.layouts();
    let stub = &layouts[2];
    let zero = tree("r0-1.0.0", stub.active().unwrap().ino);
    let new = shop.stage("r1-2.0.0", "new");
    for _ in 0..2 {
        stub.prepare(&zero, &new).unwrap();
        // Built with the new release in it, beside the plugin, which is as it was.
        let staged = stub.locate(&new).unwrap().unwrap();
        assert_eq!(staged.identity().unwrap().st_ino, new.ino);
        assert_eq!(fs::read_to_string(shop.plugin.join("pay.php")).unwrap(), "old");
        assert!(stub.trees().unwrap().contains(&new.name));
    }
    stub.settle(&new, &zero).unwrap();
    assert_eq!(
        shop.site.tree("r1-2.0.0").unwrap().unwrap().identity().unwrap().st_ino,
        new.ino
    );
    assert!(shop.site.tree("r0-1.0.0").unwrap().is_none());
    stub.prepare(&zero, &new).unwrap();
    stub.flip(&zero, &new).unwrap();
    assert_eq!(runs(stub.as_ref()), "new");
    let loader = fs::read_to_string(shop.plugin.join("pay.php")).unwrap();
    assert!(loader.contains(".plugmend-current"));
}

#[test]
fn code_under_way_finds_its_own_files_under_their_paths_after_an_adoption() {
    let mut shop = shop();
    let own = RelPath::new("data/orders").unwrap();
    shop.own = vec![own.clone()];
    for folder in ["lib", "data/orders"] {
        fs::create_dir_all(shop.plugin.join(folder)).unwrap();
    }
    fs::write(shop.plugin.join("lib/part.php"), "old part").unwrap();
    let layouts = shop.layouts();
    let stub = &layouts[2];
    let zero = tree("r0-1.0.0", stub.active().unwrap().ino);
    let new = shop.stage("r1-2.0.0", "new");
    shop.site.absorb(&stub.active().unwrap().dir, &own).unwrap();
    stub.prepare(&zero, &new).unwrap();
    fs::write(shop.plugin.join("lib/late.php"), "made meanwhile").unwrap();
    stub.flip(&zero, &new).unwrap();
    stub.settle(&zero, &new).unwrap();
    // Real folders where there were real ones, so that `..` leads where it led.
    for folder in ["", "lib", "data"] {
        assert!(!shop.plugin.join(folder).is_symlink(), "{folder}");
    }
    for (path, content) in [
        ("lib/part.php", "old part"),
        ("lib/../lib/part.php", "old part"),
        ("lib/late.php", "made meanwhile"),
    ] {
        assert_eq!(fs::read_to_string(shop.plugin.join(path)).unwrap(), content);
    }
    let old = stub.locate(&zero).unwrap().unwrap();
    for (n, folder) in [shop.plugin.join("lib/../data/orders"), old.path().join("data/orders")]
        .into_iter()
        .enumerate()
    {
        fs::write(folder.join(n.to_string()), "an order").unwrap();
        assert!(
            shop.site
                .work
                .path()
                .join(SHARED)
                .join(format!("data/orders/{n}"))
                .exists()
        );
    }
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
