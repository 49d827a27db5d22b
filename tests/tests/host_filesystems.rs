//! Filesystems that refuse: full, without inodes, read-only, mounted over, in layers. Nothing is lost, the order ends
//! with a clear message, and once the trouble is over the very same order works. Each test mounts in a namespace of
//! its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use plugmend_tests::{
    mounts,
    shop::shelf::{self, Shelf, contents},
    system::{AgentHost, Backstage, Ended, Hooks, Host, Plugin, Probe, Terms},
    wait,
};

const OLD: &str = "1.0.0";
const NEW: &str = "2.0.0";

/// A shop on a filesystem of the test's choosing.
struct Place {
    agent: AgentHost,
    _shop: Shelf,
    plugin: PathBuf,
    site: PathBuf,
    backstage: Backstage,
}

/// What a test does to the folder that will hold the plugins, before anything is there.
type Prepare = fn(&Path);

impl Place {
    async fn make(layout: &str, descriptor: &str, prepare: Prepare, state_on_site: bool) -> Self {
        let backstage = Backstage::start("shelf", descriptor, Terms::default()).await.unwrap();
        backstage.publish(OLD, shelf::write).unwrap();
        backstage.publish(NEW, shelf::write).unwrap();
        let site = backstage.folder("site").unwrap();
        prepare(&site);
        let plugin = site.join("shelf");
        if !plugin.exists() {
            shelf::write(&plugin, OLD).unwrap();
        }
        let shop = Shelf::start(plugin.clone()).await.unwrap();
        let host = host(&plugin, layout, &shop);
        let home = if state_on_site {
            site.join(".agent")
        } else {
            backstage.folder("agent").unwrap()
        };
        let agent = backstage.agent(&home, &host).await.unwrap();
        let place = Self {
            agent,
            _shop: shop,
            plugin,
            site,
            backstage,
        };
        place.until_said("the control plane answers", 1).await;
        place
    }

    /// Waits until the agent's log has `words` in `times` lines.
    async fn until_said(&self, words: &str, times: usize) {
        let log = self.agent.log();
        wait::until_async(words, Duration::from_secs(30), async || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            Ok((text.lines().filter(|line| line.contains(words)).count() >= times).then_some(()))
        })
        .await
        .unwrap_or_else(|e| panic!("{e:#}\n{}", self.backstage.logs(&self.agent)));
    }

    async fn update(&self) -> Ended {
        self.backstage.order(&self.agent, "update", NEW).await.unwrap()
    }

    /// An update that ends with an error in which one of `words` says why, and that changed nothing.
    async fn refused(&self, words: &[&str]) -> String {
        let before = contents(&self.plugin).unwrap();
        let ended = self.update().await;
        assert_eq!(ended.status, "failed", "{}", ended.raw);
        let said = ended.raw.to_string().to_lowercase();
        assert!(
            words.iter().any(|word| said.contains(word)),
            "{words:?} is not in {said}"
        );
        assert_eq!(
            contents(&self.plugin).unwrap(),
            before,
            "a refused update changed the plugin"
        );
        said
    }

    async fn works(&self, kind: &str, version: &str) {
        self.backstage.complete(&self.agent, kind, version).await.unwrap();
        assert_eq!(shelf::version(&self.plugin).as_deref(), Some(version));
    }
}

fn host(plugin: &Path, layout: &str, shop: &Shelf) -> Host {
    Host {
        plugin: Plugin {
            product: "shelf".to_owned(),
            cms: "php".to_owned(),
            path: plugin.to_owned(),
            layout: layout.to_owned(),
            version: OLD.to_owned(),
            entries: Vec::new(),
        },
        hooks: Hooks::default(),
        probes: vec![Probe {
            http: format!("http://{}/probe", shop.at()),
            status: 200,
            contains: Some("\"version\":\"{version}\"".to_owned()),
        }],
        udp: None,
    }
}

/// Fills the filesystem at `site` until about `left` bytes are free.
fn fill(site: &Path, left: u64) {
    let facts = rustix::fs::statvfs(site).unwrap();
    let free = facts.f_bavail * facts.f_frsize;
    let ballast = vec![0_u8; usize::try_from(free.saturating_sub(left)).unwrap()];
    // Where the last page does not fit, less is free than was asked for: that is full as well.
    let _ = fs::write(site.join("ballast"), ballast);
}

fn empty(site: &Path) {
    fs::remove_file(site.join("ballast")).unwrap();
}

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(body);
}

/// Fills the disk to `left` bytes as soon as the new release is being laid out.
fn fill_midway(site: &Path, left: u64) -> std::thread::JoinHandle<()> {
    let site = site.to_owned();
    std::thread::spawn(move || {
        let begun = std::time::Instant::now();
        let laid_out = || {
            let names = fs::read_dir(site.join(".plugmend-shelf")).unwrap().flatten();
            names
                .map(|e| e.file_name())
                .any(|name| name.to_string_lossy().ends_with(NEW))
        };
        while !laid_out() && begun.elapsed() < Duration::from_secs(30) {
            std::thread::yield_now();
        }
        fill(&site, left);
    })
}

#[test]
#[ignore = "needs root: make test-host"]
fn a_full_disk_costs_nothing_but_the_update() {
    mounts::privately("a_full_disk_costs_nothing_but_the_update", || {
        run(async {
            for layout in ["exchange", "symlink"] {
                let place = Place::make(layout, "", |site| mounts::memory(site, 65_536).unwrap(), false).await;
                // More and more room, until it is enough: seen before anything is touched.
                for megabytes in [0, 1, 8] {
                    fill(&place.site, megabytes << 20);
                    place.refused(&["space", "full"]).await;
                    empty(&place.site);
                }
                // Somebody else fills the disk in the middle of it: a little later each time.
                for kilobytes in [0, 16, 48, 96, 160] {
                    let before = contents(&place.plugin).unwrap();
                    let filler = fill_midway(&place.site, kilobytes << 10);
                    let ended = place.update().await;
                    filler.join().unwrap();
                    empty(&place.site);
                    if ended.status == "completed" {
                        assert_eq!(shelf::version(&place.plugin).as_deref(), Some(NEW));
                        place.works("rollback", OLD).await;
                        continue;
                    }
                    assert_eq!(contents(&place.plugin).unwrap(), before, "{kilobytes} kB free");
                    let said = ended.raw.to_string().to_lowercase();
                    assert!(said.contains("space") || said.contains("full"), "{said}");
                }
                place.works("update", NEW).await;
                place.works("rollback", OLD).await;
            }
        });
    })
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn an_agent_that_starts_on_a_full_disk_waits_for_room() {
    mounts::privately("an_agent_that_starts_on_a_full_disk_waits_for_room", || {
        run(async {
            let mut place = Place::make("exchange", "", |site| mounts::memory(site, 65_536).unwrap(), false).await;
            place.agent.stop().unwrap();
            fill(&place.site, 0);
            place.agent.launch().unwrap();
            place.until_said("the control plane answers", 2).await;
            place.refused(&["space", "full"]).await;
            empty(&place.site);
            place.works("update", NEW).await;
        });
    })
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn a_disk_full_for_the_agent_too_is_survived() {
    mounts::privately("a_disk_full_for_the_agent_too_is_survived", || {
        run(async {
            let place = Place::make("exchange", "", |site| mounts::memory(site, 65_536).unwrap(), true).await;
            let before = contents(&place.plugin).unwrap();
            let ops = place.backstage.control_plane.ops();
            for left in [0, 16, 64, 160] {
                fill(&place.site, left * 1_024);
                let order =
                    serde_json::json!({"type": "update", "product": "shelf", "version": NEW, "reason": "a test"});
                let id = ops.order(place.agent.plugin_id(), &order).await.unwrap();
                // It may end now, or wait in the agent or here until there is room again.
                let soon = ops.ended(&id, Duration::from_secs(5)).await;
                if soon.is_err() {
                    assert_eq!(contents(&place.plugin).unwrap(), before, "{left} kB free");
                }
                empty(&place.site);
                let ended = ops.ended(&id, Duration::from_mins(2)).await;
                let ended =
                    Ended::read(ended.unwrap_or_else(|e| panic!("{e:#}\n{}", place.backstage.logs(&place.agent))))
                        .unwrap();
                if ended.status == "completed" {
                    place.works("rollback", OLD).await;
                }
                assert_eq!(contents(&place.plugin).unwrap(), before, "{left} kB free");
            }
            place.works("update", NEW).await;
        });
    })
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn a_disk_without_inodes_costs_nothing_but_the_update() {
    mounts::privately("a_disk_without_inodes_costs_nothing_but_the_update", || {
        run(async {
            let few = |site: &Path| mounts::few_inodes(site, 65_536, 60).unwrap();
            let place = Place::make("exchange", "", few, false).await;
            place.refused(&["inode", "space", "full"]).await;
        });
    })
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn a_read_only_place_is_refused_and_works_when_it_is_writable_again() {
    mounts::privately(
        "a_read_only_place_is_refused_and_works_when_it_is_writable_again",
        || {
            run(async {
                let on_itself = |site: &Path| mounts::onto_itself(site).unwrap();
                let mut place = Place::make("exchange", "", on_itself, false).await;
                let before = contents(&place.plugin).unwrap();
                place.agent.stop().unwrap();
                mounts::writable(&place.site, false).unwrap();
                place.agent.launch().unwrap();
                place.until_said("read-only", 1).await;
                assert_eq!(contents(&place.plugin).unwrap(), before);
                place.agent.stop().unwrap();
                mounts::writable(&place.site, true).unwrap();
                place.agent.launch().unwrap();
                place.works("update", NEW).await;
            });
        },
    )
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn a_plugin_that_becomes_a_mount_point_is_left_alone() {
    mounts::privately("a_plugin_that_becomes_a_mount_point_is_left_alone", || {
        run(async {
            let mut place = Place::make("exchange", "", |_| {}, false).await;
            // While the agent runs.
            mounts::onto_itself(&place.plugin).unwrap();
            place.refused(&["mount", "busy"]).await;
            mounts::unmount(&place.plugin).unwrap();
            place.works("update", NEW).await;
            place.works("rollback", OLD).await;

            // Before it starts; and from another filesystem altogether.
            place.agent.stop().unwrap();
            let elsewhere = place.backstage.folder("elsewhere").unwrap();
            mounts::memory(&elsewhere, 4_096).unwrap();
            shelf::write(&elsewhere, OLD).unwrap();
            mounts::bind(&elsewhere, &place.plugin).unwrap();
            place.agent.launch().unwrap();
            place
                .until_said("is a mount point, which can not change places", 1)
                .await;
            place.agent.stop().unwrap();
            assert_eq!(shelf::version(&elsewhere).as_deref(), Some(OLD));
            mounts::unmount(&place.plugin).unwrap();
            place.agent.launch().unwrap();
            place.works("update", NEW).await;
        });
    })
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn data_on_a_filesystem_of_its_own_is_not_left_behind() {
    mounts::privately("data_on_a_filesystem_of_its_own_is_not_left_behind", || {
        run(async {
            let place = Place::make("exchange", "preserve = [\"orders\"]\n", |_| {}, false).await;
            let orders = place.plugin.join("orders");
            fs::create_dir(&orders).unwrap();
            mounts::memory(&orders, 1_024).unwrap();
            fs::write(orders.join("log"), "order-1\n").unwrap();
            place.refused(&["mount"]).await;
            mounts::unmount(&orders).unwrap();
            fs::write(orders.join("log"), "order-2\n").unwrap();
            place.works("update", NEW).await;
            assert_eq!(fs::read_to_string(orders.join("log")).unwrap(), "order-2\n");
        });
    })
    .unwrap();
}

#[test]
#[ignore = "needs root: make test-host"]
fn a_plugin_in_a_lower_layer_is_updated_or_left_alone() {
    /// The plugin comes with the image; the site is an overlay over it.
    fn layers(site: &Path) {
        let memory = site.with_file_name("layers");
        fs::create_dir(&memory).unwrap();
        mounts::memory(&memory, 131_072).unwrap();
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| memory.join(name));
        for folder in [&lower, &upper, &work] {
            fs::create_dir(folder).unwrap();
        }
        shelf::write(&lower.join("shelf"), OLD).unwrap();
        mounts::overlay(&lower, &upper, &work, site).unwrap();
    }
    mounts::privately("a_plugin_in_a_lower_layer_is_updated_or_left_alone", || {
        run(async {
            for layout in ["exchange", "symlink"] {
                let place = Place::make(layout, "", layers, false).await;
                let before = contents(&place.plugin).unwrap();
                let ended = place.update().await;
                println!("{layout} over a lower layer: {}", ended.raw);
                if ended.status == "completed" {
                    assert_eq!(shelf::version(&place.plugin).as_deref(), Some(NEW));
                    place.works("rollback", OLD).await;
                } else {
                    let said = ended.raw.to_string().to_lowercase();
                    assert!(said.contains("layer") || said.contains("exchange"), "{said}");
                }
                assert_eq!(contents(&place.plugin).unwrap(), before);
                let status = wait::until_async("the agent's status", Duration::from_secs(10), async || {
                    Ok(place.agent.cli(&["status"]).ok())
                })
                .await
                .unwrap();
                assert!(status.is_object(), "{status}");
            }
        });
    })
    .unwrap();
}
