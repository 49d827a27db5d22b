//! An existing PHP plugin is put under its loader (`stub`) while customers pay: again and again, each time in a fresh
//! shop, without the rest of an order around it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use plugmend_agent::{
    domain::installed::Tree,
    platform::{
        beneath::Dir,
        fastcgi::Pool,
        hooks::Hooks,
        layout::{Layout, Site, Stub},
    },
};
use plugmend_shared::bundle::path::RelPath;
use plugmend_tests::{
    load::{Load, Plan, Remembering, Report, Swap},
    ports,
    shop::{
        gateway,
        orders::Orders,
        php::{self, OpCache, PhpShop, Place},
    },
    wait,
};

const VERSIONS: [&str; 2] = ["1.0.0", "2.0.0"];
/// More than the pool's workers, so that there is always a request under way.
const PLAN: Plan = Plan {
    keep_alive: 5,
    fresh: 2,
    pause: Duration::ZERO,
    limit: 2_000_000,
};
/// The files that orders are written to in the plugin's own folder: by its entry file, and by a part in a folder.
const BOOKS: [&str; 2] = ["log", "book"];

/// How many adoptions; more of them find rarer faults (`PLUGMEND_ADOPTIONS=200`).
fn adoptions() -> usize {
    let asked = std::env::var("PLUGMEND_ADOPTIONS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// The plugin, slow enough that requests are long under way, and with a part that writes beside its own folder.
fn write(folder: &Path, version: &str) {
    gateway::write(folder, version).unwrap();
    let entry = folder.join("plugin.php");
    let code = fs::read_to_string(&entry).unwrap();
    let code = code.replace("require ", "usleep(300); require ");
    let pays = "string $order): void\n{\n";
    let code = code.replace(pays, &format!("{pays}    shop_gateway_book($order);\n"));
    fs::write(&entry, code).unwrap();
    let part = folder.join("lib/part7.php");
    let book = format!(
        "function shop_gateway_book(string $order): void\n{{\n\
         \x20   file_put_contents(__DIR__ . '/../{}/book', \"$order\\n\", FILE_APPEND | LOCK_EX);\n}}\n",
        gateway::OWN_DATA
    );
    fs::write(&part, fs::read_to_string(&part).unwrap() + &book).unwrap();
}

struct Shop {
    _folder: tempfile::TempDir,
    place: Place,
    site: Site,
    trees: [Tree; 2],
}

impl Shop {
    fn prepare() -> Self {
        let folder = php::open_folder().unwrap();
        let place = Place::prepare(folder.path()).unwrap();
        write(&place.plugin, VERSIONS[0]);
        let own = place.plugin.join(gateway::OWN_DATA);
        fs::create_dir(&own).unwrap();
        php::give_to_pool(&own).unwrap();
        let site = Site::open(&place.plugin).unwrap();
        let staged = site.work.path().join("r1-2.0.0");
        write(&staged, VERSIONS[1]);
        let tree = |name: &str, version: &str, path: &Path| Tree {
            name: name.to_owned(),
            ino: Dir::open(path).unwrap().identity().unwrap().st_ino,
            version: version.parse().unwrap(),
            digest: None,
        };
        let trees = [
            tree("r0-1.0.0", VERSIONS[0], &place.plugin),
            tree("r1-2.0.0", VERSIONS[1], &staged),
        ];
        Self {
            _folder: folder,
            place,
            site,
            trees,
        }
    }

    /// What an order does to the host, in its order: data into safety, the swap, PHP forgets.
    fn adopt(&self) -> Swap {
        let own = [RelPath::new(gateway::OWN_DATA).unwrap()];
        let stub = Stub {
            site: &self.site,
            entries: &[RelPath::new("plugin.php").unwrap()],
            preserve: &own,
        };
        let hooks = Hooks {
            opcache: Some(Pool::Unix(self.place.fpm.clone())),
            ..Hooks::default()
        };
        let [zero, new] = &self.trees;
        let begun = Instant::now();
        self.site.absorb(&stub.active().unwrap().dir, &own[0]).unwrap();
        let staged = stub.locate(new).unwrap().unwrap();
        self.site.attach(&staged, &own[0]).unwrap();
        stub.prepare(zero, new).unwrap();
        stub.flip(zero, new).unwrap();
        hooks.drop_code(&self.site.work, "token").unwrap();
        let swap = Swap {
            begun,
            done: Instant::now(),
            version: VERSIONS[1].to_owned(),
        };
        stub.settle(zero, new).unwrap();
        swap
    }
}

async fn until_sent(load: &Load, count: u64) {
    let came = async || Ok((load.sent() >= count).then_some(()));
    wait::until_async("customers", Duration::from_mins(2), came)
        .await
        .unwrap();
}

/// One adoption under load; gives what customers met, and what became of their orders.
async fn adopted(opcache: OpCache, warm: u64) -> (Report, Vec<Orders>) {
    let shop = Shop::prepare();
    let php = PhpShop::start(&shop.place, ports::free().unwrap(), opcache).unwrap();
    let customers = Arc::new(Remembering::new(gateway::Customers));
    let load = Load::start(php.at(), customers.clone(), PLAN);
    let first = Swap::at(Instant::now(), VERSIONS[0]);
    until_sent(&load, warm).await;
    let second = shop.adopt();
    until_sent(&load, load.sent() + 150).await;
    let report = Report::of(&load.finish().await.unwrap(), &[first, second]);
    let told: Vec<String> = customers.right().iter().filter_map(|n| gateway::order(*n)).collect();
    let own = shop.place.plugin.join(gateway::OWN_DATA);
    let books = BOOKS.map(|book| own.join(book));
    let audit = |file: &Path| Orders::audit(&fs::read_to_string(file).unwrap(), &told);
    let mut orders = vec![audit(&shop.place.orders)];
    orders.extend(books.iter().map(|book| audit(book)));
    for audited in orders.iter().filter(|audited| !audited.is_clean()) {
        println!("{opcache:?}: lost {:?}, doubled {:?}", audited.lost, audited.doubled);
        println!(
            "{}",
            fs::read_to_string(shop.place.home.join("php-error.log")).unwrap_or_default()
        );
    }
    (report, orders)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn no_order_is_lost_and_no_request_fails_when_a_plugin_gets_its_loader() {
    let (mut requests, mut written, mut unclean) = (0, 0, 0);
    for n in 0..adoptions() {
        let opcache = if n % 2 == 0 {
            OpCache::Default
        } else {
            OpCache::Unchecked
        };
        let (report, orders) = adopted(opcache, 100 + n as u64 * 7 % 50).await;
        let clean = report.is_clean() && orders.iter().all(Orders::is_clean);
        if !clean {
            println!(
                "adoption {n}: {report} {:?} {:?} {:?}",
                report.failed, report.mixed, report.stale
            );
        }
        requests += report.total;
        written += orders.iter().map(|audited| audited.kept).sum::<usize>();
        unclean += usize::from(!clean);
    }
    println!(
        "{} adoptions, {requests} requests, {written} writes of orders kept, {unclean} adoptions unclean",
        adoptions()
    );
    assert_eq!(unclean, 0);
}
