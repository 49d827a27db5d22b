//! The exchange layout alone, again and again under load, without orders and trials between: what the host's own part
//! of a swap does to requests under way.
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
        fastcgi::Pool,
        hooks::Hooks,
        layout::{Exchange, Layout, Site},
        opcache::Held,
    },
};
use plugmend_shared::clock::{Clock as _, SystemClock};
use plugmend_tests::{
    load::{Load, Plan, Remembering, Report, Swap},
    ports,
    shop::{
        gateway,
        php::{self, OpCache, PhpShop, Place},
    },
    wait,
};

const VERSIONS: [&str; 2] = ["1.0.0", "2.0.0"];
const PLAN: Plan = Plan {
    keep_alive: 6,
    fresh: 2,
    pause: Duration::ZERO,
    limit: 2_000_000,
};

/// How many swaps; more of them find rarer faults (`PLUGMEND_SWAPS=500`).
fn swaps() -> usize {
    let asked = std::env::var("PLUGMEND_SWAPS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// The plugin's two trees; the first lies at its path.
fn trees(place: &Place, site: &Site) -> [Tree; 2] {
    let staged = site.work.path().join("r1-2.0.0");
    write_slow(&staged, VERSIONS[1]);
    for (folder, stamp) in [(&place.plugin, 1_700_000_000), (&staged, 1_710_000_000)] {
        own_times(folder, stamp);
        let data = folder.join(gateway::OWN_DATA);
        fs::create_dir(&data).unwrap();
        php::give_to_pool(&data).unwrap();
    }
    let tree = |name: &str, version: &str, ino| Tree {
        name: name.to_owned(),
        ino,
        version: version.parse().unwrap(),
        digest: None,
    };
    let running = Exchange(site).active().unwrap().ino;
    let beside = site.tree("r1-2.0.0").unwrap().unwrap().identity().unwrap().st_ino;
    [
        tree("r0-1.0.0", VERSIONS[0], running),
        tree("r1-2.0.0", VERSIONS[1], beside),
    ]
}

/// Each release's files carry a time of their own, or `OPcache` would take one for the other.
fn own_times(folder: &Path, stamp: u64) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            own_times(&entry.path(), stamp);
        } else {
            let file = fs::File::open(entry.path()).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(stamp))
                .unwrap();
        }
    }
}

/// `OPcache` compares files anew from a full second on. A request that is doing so right then has compared its first
/// files before the swap and will compare its last ones after it.
fn the_worst_moment() {
    let into = SystemClock.now().subsec_nanosecond();
    std::thread::sleep(Duration::from_nanos(1_015_000_000 - u64::from(into.unsigned_abs())));
}

/// The plugin with parts that take their time, so that a request is long under way.
fn write_slow(folder: &Path, version: &str) {
    gateway::write(folder, version).unwrap();
    let entry = folder.join("plugin.php");
    let code = fs::read_to_string(&entry)
        .unwrap()
        .replace("require ", "usleep(2500); require ");
    fs::write(&entry, code).unwrap();
}

/// Customers come all the while. Gives what they met, and how often PHP could hold what it had compiled.
async fn swapped_again_and_again(opcache: OpCache, holds: bool) -> (Report, usize) {
    let folder = php::open_folder().unwrap();
    let place = Place::prepare(folder.path()).unwrap();
    write_slow(&place.plugin, VERSIONS[0]);
    let site = Site::open(&place.plugin).unwrap();
    let trees = trees(&place, &site);
    let php = PhpShop::start(&place, ports::free().unwrap(), opcache).unwrap();
    let customers = Arc::new(Remembering::new(gateway::Customers));
    let load = Load::start(php.at(), customers, PLAN);
    let hooks = Hooks {
        opcache: Some(Pool::Unix(place.fpm.clone())),
        ..Hooks::default()
    };
    let mut seen = vec![Swap::at(Instant::now(), VERSIONS[0])];
    let mut held = 0;
    for n in 0..swaps() {
        let enough = load.sent() + 100;
        let came = async || Ok((load.sent() >= enough).then_some(()));
        wait::until_async("customers", Duration::from_mins(2), came)
            .await
            .unwrap();
        // Long enough for PHP to compare its files again: it does so after two full seconds.
        std::thread::sleep(Duration::from_millis(if holds { 0 } else { 2_100 }));
        let (from, to) = (&trees[n % 2], &trees[(n + 1) % 2]);
        let layout = Exchange(&site);
        if holds {
            let kept = hooks.hold_code(&site.work, "token", &place.plugin).unwrap();
            held += usize::from(!matches!(kept, Some(Held::Not(_))));
        }
        the_worst_moment();
        let begun = Instant::now();
        layout.flip(from, to).unwrap();
        hooks.drop_code(&site.work, "token").unwrap();
        seen.push(Swap {
            begun,
            done: Instant::now(),
            version: VERSIONS[(n + 1) % 2].to_owned(),
        });
        layout.settle(from, to).unwrap();
    }
    let report = Report::of(&load.finish().await.unwrap(), &seen);
    println!("{opcache:?}, held {held} of {}: {report}", swaps());
    (report, held)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn requests_under_way_at_an_exchange_end_with_the_code_they_began_with() {
    let (careless, _) = swapped_again_and_again(OpCache::Default, false).await;
    let (report, held) = swapped_again_and_again(OpCache::Default, true).await;
    assert!(
        report.is_clean(),
        "{report} {:?} {:?} {:?}",
        report.failed,
        report.mixed,
        report.stale
    );
    assert_eq!(held, swaps());
    println!(
        "without holding, {} of {} were mixed",
        careless.mixed.len(),
        careless.total
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn where_timestamps_are_never_looked_at_nothing_needs_holding() {
    let (report, held) = swapped_again_and_again(OpCache::Unchecked, true).await;
    assert!(report.is_clean(), "{report} {:?} {:?}", report.failed, report.mixed);
    assert_eq!(held, swaps());
}
