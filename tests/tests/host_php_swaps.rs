//! PHP-FPM and nginx under load while the real agent swaps releases: what a merchant's customers see of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use plugmend_tests::{
    load::{Load, Plan, Remembering, Report, Sample, Swap, Verdict},
    ports,
    shop::{
        gateway,
        orders::Orders,
        php::{self, OpCache, PhpShop, Place},
    },
    system::{AgentHost, Backstage, Hooks, Host, Plugin, Probe, Terms, Watcher},
    wait,
};

const OLD: &str = "1.0.0";
const NEW: &str = "2.0.0";
const BROKEN: &str = "3.0.0";
const REQUESTS: u64 = 20_000;
const SWAPS: usize = 10;

/// Requests keep coming through all swaps, at most this many in all.
const PLAN: Plan = Plan {
    keep_alive: 3,
    fresh: 3,
    pause: Duration::from_millis(4),
    limit: 2_000_000,
};

/// Everything. Fields are dropped in this order, each before what it stands on.
struct Shop {
    load: Load,
    customers: Arc<Remembering<gateway::Customers>>,
    watcher: Watcher,
    agent: AgentHost,
    _php: PhpShop,
    place: Place,
    backstage: Backstage,
}

impl Shop {
    async fn open(layout: &str, opcache: OpCache) -> Self {
        let descriptor = format!("preserve = [\"{}\"]\n", gateway::OWN_DATA);
        let backstage = Backstage::start("gateway", &descriptor, Terms::default())
            .await
            .unwrap();
        backstage.publish(OLD, gateway::write).unwrap();
        backstage.publish(NEW, gateway::write).unwrap();
        let place = Place::prepare(&backstage.folder("shop").unwrap()).unwrap();
        gateway::write(&place.plugin, OLD).unwrap();
        let own = place.plugin.join(gateway::OWN_DATA);
        fs::create_dir(&own).unwrap();
        php::give_to_pool(&own).unwrap();
        let port = ports::free().unwrap();
        let php = PhpShop::start(&place, port, opcache).unwrap();
        let host = host(&place, port, layout);
        let agent = backstage
            .agent(&backstage.folder("agent").unwrap(), &host)
            .await
            .unwrap();
        let customers = Arc::new(Remembering::new(gateway::Customers));
        Self {
            load: Load::start(php.at(), customers.clone(), PLAN),
            customers,
            watcher: Watcher::start(place.plugin.clone(), installed),
            agent,
            _php: php,
            place,
            backstage,
        }
    }

    /// Lets customers come until there were so many in all.
    async fn until_sent(&self, count: u64) {
        wait::until_async("customers", Duration::from_mins(2), async || {
            Ok((self.load.sent() >= count).then_some(()))
        })
        .await
        .unwrap();
    }

    async fn complete(&self, kind: &str, version: &str) {
        self.backstage.complete(&self.agent, kind, version).await.unwrap();
        assert_eq!(installed(&self.place.plugin).as_deref(), Some(version));
    }

    /// Sends the customers home.
    async fn close(self) -> Closed {
        let samples = self.load.finish().await.unwrap();
        let told: Vec<String> = self
            .customers
            .right()
            .iter()
            .filter_map(|n| gateway::order(*n))
            .collect();
        let files: Vec<PathBuf> = vec![
            self.place.orders.clone(),
            self.place.plugin.join(gateway::OWN_DATA).join("log"),
        ];
        Closed {
            swaps: self.watcher.swaps(),
            orders: files
                .iter()
                .map(|file| Orders::audit(&fs::read_to_string(file).unwrap(), &told))
                .collect(),
            samples,
            complaints: complaints(&self.place.home),
        }
    }
}

/// What PHP and nginx wrote into their logs.
fn complaints(home: &Path) -> String {
    let logs = ["php-error.log", "fpm-error.log", "fpm.log", "nginx-error.log"];
    let texts = logs.iter().filter_map(|log| fs::read_to_string(home.join(log)).ok());
    texts.collect()
}

struct Closed {
    /// What the servers said.
    complaints: String,
    samples: Vec<Sample>,
    swaps: Vec<Swap>,
    /// In the shop's own file, and in the plugin's preserved folder.
    orders: Vec<Orders>,
}

fn host(place: &Place, port: u16, layout: &str) -> Host {
    Host {
        plugin: Plugin {
            product: "gateway".to_owned(),
            cms: "php".to_owned(),
            path: place.plugin.clone(),
            layout: layout.to_owned(),
            version: OLD.to_owned(),
            entries: if layout == "stub" {
                vec!["plugin.php".to_owned()]
            } else {
                Vec::new()
            },
        },
        hooks: Hooks {
            reload: None,
            opcache_fastcgi: Some(format!("unix:{}", place.fpm.display())),
        },
        probes: vec![Probe {
            http: format!("http://127.0.0.1:{port}/"),
            status: 200,
            contains: Some("[\"{version}\"".to_owned()),
        }],
        udp: None,
    }
}

/// The version at the plugin's path: the loader's pointer (`r<n>-<version>`), or the header of the entry file.
fn installed(plugin: &Path) -> Option<String> {
    if let Ok(pointer) = fs::read_to_string(plugin.join(".plugmend-current")) {
        return Some(pointer.trim().split_once('-')?.1.to_owned());
    }
    let entry = fs::read_to_string(plugin.join("plugin.php")).ok()?;
    let line = entry.lines().find_map(|line| line.trim().strip_prefix("* Version: "))?;
    Some(line.to_owned())
}

/// Updates and roll-backs in turn under load, until there were enough of both.
async fn nobody_notices(layout: &str, opcache: OpCache) {
    let shop = Shop::open(layout, opcache).await;
    shop.until_sent(500).await;
    let mut swaps = 0;
    while swaps < SWAPS || shop.load.sent() < REQUESTS {
        let (kind, version) = if swaps % 2 == 0 {
            ("update", NEW)
        } else {
            ("rollback", OLD)
        };
        shop.complete(kind, version).await;
        swaps += 1;
        shop.until_sent(shop.load.sent() + 100).await;
    }
    let closed = shop.close().await;
    let report = Report::of(&closed.samples, &closed.swaps);
    println!("{layout}, {opcache:?}: {swaps} swaps, {report}");
    assert!(
        report.is_clean(),
        "{layout}, {opcache:?}: {report}\n{}",
        examples(&report)
    );
    if closed.orders.iter().any(|orders| !orders.lost.is_empty()) {
        println!("the servers said: {}", closed.complaints);
    }
    assert_eq!(closed.swaps.len(), swaps + 1, "{:?}", closed.swaps);
    assert!(report.total as u64 >= REQUESTS, "{report}");
    for orders in &closed.orders {
        assert!(orders.is_clean() && orders.unacknowledged == 0, "{orders:?}");
        assert!(orders.kept as u64 >= REQUESTS / 5);
    }
}

fn examples(report: &Report) -> String {
    let all = [&report.failed, &report.mixed, &report.stale];
    let some: Vec<&str> = all
        .iter()
        .flat_map(|list| list.iter().take(3))
        .map(String::as_str)
        .collect();
    some.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn customers_of_a_shop_as_it_is_notice_nothing_of_exchanges() {
    nobody_notices("exchange", OpCache::Default).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn customers_of_a_shop_with_a_loader_notice_nothing_of_swaps() {
    nobody_notices("stub", OpCache::Default).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn customers_of_a_shop_with_a_loader_notice_nothing_even_where_timestamps_are_never_looked_at() {
    nobody_notices("stub", OpCache::Unchecked).await;
}

/// An update to a release that is a fatal error to PHP: the agent takes it back, and no order that a customer was told
/// was taken is lost, nor any taken twice.
async fn a_fatal_release_is_taken_back(layout: &str) {
    let shop = Shop::open(layout, OpCache::Default).await;
    shop.backstage.publish(BROKEN, gateway::write_broken).unwrap();
    shop.complete("update", NEW).await;
    shop.until_sent(shop.load.sent() + 500).await;
    let ended = shop.backstage.order(&shop.agent, "update", BROKEN).await.unwrap();
    assert_eq!(ended.status, "failed", "{}", ended.raw);
    assert_eq!(installed(&shop.place.plugin).as_deref(), Some(NEW));
    let whole_since = Instant::now();
    shop.until_sent(shop.load.sent() + 1_000).await;

    let closed = shop.close().await;
    for orders in &closed.orders {
        assert!(orders.is_clean(), "{orders:?}");
        assert!(orders.kept > 300, "{orders:?}");
    }
    let versions: Vec<&str> = closed.swaps.iter().map(|swap| swap.version.as_str()).collect();
    assert_eq!(versions, [OLD, NEW, BROKEN, NEW]);
    let [_, _, broken, back] = closed.swaps.as_slice() else {
        unreachable!()
    };
    let during = |sample: &Sample| sample.answered >= broken.begun && sample.sent <= back.done + Duration::from_secs(1);
    for sample in &closed.samples {
        match &sample.verdict {
            Verdict::Right(_) => {}
            // OPcache keeps no file that does not compile: until it is reset after the exchange, a request still has the
            // broken release's other files, and this one from the release that came back. Nothing but a loader helps
            // against that, and without it the request would have failed.
            Verdict::Mixed(why) => {
                assert!(
                    layout == "exchange" && during(sample) && why.contains(BROKEN),
                    "mixed: {why}"
                );
            }
            Verdict::Failed(why) | Verdict::OwnBug(why) => {
                assert!(during(sample), "failed while the shop was whole: {why}");
                assert!(sample.sent < whole_since, "failed after the order had ended: {why}");
            }
        }
    }
    println!("{layout}: broken for {} ms", (back.done - broken.begun).as_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn a_fatal_release_is_taken_back_in_a_shop_as_it_is() {
    a_fatal_release_is_taken_back("exchange").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn a_fatal_release_is_taken_back_in_a_shop_with_a_loader() {
    a_fatal_release_is_taken_back("stub").await;
}
