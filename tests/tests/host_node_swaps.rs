//! Node under load while the real agent swaps a real payments plugin by symbolic link and graceful reload.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use plugmend_tests::{
    load::{Load, Plan, Remembering, Report, Swap},
    npm,
    shop::{
        node::{self, NodeShop, Place},
        orders::Orders,
        payments::{self, Customers, FIRST, SECOND},
    },
    system::{Backstage, Hooks, Host, Plugin, Probe, Terms, Watcher, node_version},
    wait,
};

const REQUESTS: u64 = 20_000;
const SWAPS: usize = 10;
const PLAN: Plan = Plan {
    keep_alive: 3,
    fresh: 3,
    pause: Duration::from_millis(6),
    limit: 2_000_000,
};

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    npm::run(Command::new("cp").arg("-rT").arg(from).arg(to))
}

fn first(folder: &Path, _: &str) -> anyhow::Result<()> {
    copy(&payments::tree(&FIRST)?, folder)
}

fn second(folder: &Path, _: &str) -> anyhow::Result<()> {
    copy(&payments::tree(&SECOND)?, folder)
}

/// The version that serves customers, as the shop's front says.
fn serving(run: &Path) -> Option<String> {
    fs::read_to_string(run.join("current"))
        .ok()
        .filter(|text| !text.is_empty())
}

fn host(place: &Place, port: u16) -> Host {
    Host {
        plugin: Plugin {
            product: "payment-stripe".to_owned(),
            cms: "node".to_owned(),
            path: place.plugin.clone(),
            layout: "symlink".to_owned(),
            version: FIRST.version.to_owned(),
            entries: Vec::new(),
        },
        hooks: Hooks {
            reload: Some(place.reload_hook()),
            opcache_fastcgi: None,
        },
        probes: vec![Probe {
            http: format!("http://127.0.0.1:{port}/probe"),
            status: 200,
            contains: Some("\"version\":\"{version}\"".to_owned()),
        }],
        udp: None,
    }
}

/// A swap begins with the new link and is done when the shop has reloaded: both are seen from outside.
fn together(links: &[Swap], reloads: &[Swap]) -> Vec<Swap> {
    let versions = |swaps: &[Swap]| swaps.iter().map(|swap| swap.version.clone()).collect::<Vec<_>>();
    assert_eq!(versions(links), versions(reloads));
    links
        .iter()
        .zip(reloads)
        .map(|(link, reload)| Swap {
            begun: link.begun,
            done: reload.done,
            version: link.version.clone(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: make test-host"]
async fn customers_of_a_node_shop_notice_nothing_of_swaps() {
    node::ensure().unwrap();
    let backstage = Backstage::start("payment-stripe", "", Terms::default()).await.unwrap();
    backstage.publish(FIRST.version, first).unwrap();
    backstage.publish(SECOND.version, second).unwrap();
    let place = Place::prepare(&backstage.folder("shop").unwrap()).unwrap();
    first(&place.plugin, "").unwrap();
    let port = node::port().unwrap();
    let shop = NodeShop::start(&place, port, None).unwrap();
    let home: PathBuf = backstage.folder("agent").unwrap();
    let agent = backstage.agent(&home, &host(&place, port)).await.unwrap();
    let links = Watcher::start(place.plugin.clone(), node_version);
    let reloads = Watcher::start(place.home.join("run"), serving);
    let customers = Arc::new(Remembering::new(Customers::default()));
    let load = Load::start(shop.at(), customers.clone(), PLAN);

    let mut swaps = 0;
    while swaps < SWAPS || load.sent() < REQUESTS {
        let goal = load.sent() + 100;
        wait::until_async("customers", Duration::from_mins(1), async || {
            Ok((load.sent() > goal).then_some(()))
        })
        .await
        .unwrap();
        let (kind, version) = if swaps % 2 == 0 {
            ("update", SECOND.version)
        } else {
            ("rollback", FIRST.version)
        };
        backstage.complete(&agent, kind, version).await.unwrap();
        swaps += 1;
    }

    let samples = load.finish().await.unwrap();
    let report = Report::of(&samples, &together(&links.swaps(), &reloads.swaps()));
    println!("symlink: {swaps} swaps, {report}");
    let why: Vec<&String> = [&report.failed, &report.mixed, &report.stale]
        .into_iter()
        .flatten()
        .take(5)
        .collect();
    assert!(report.is_clean(), "{report}\n{why:?}");
    assert!(report.total as u64 >= REQUESTS, "{report}");
    assert_eq!(links.swaps().len(), swaps + 1);
    let told: Vec<String> = customers.right().iter().filter_map(|n| payments::order(*n)).collect();
    let orders = Orders::audit(&fs::read_to_string(&place.orders).unwrap(), &told);
    assert!(orders.is_clean() && orders.unacknowledged == 0, "{orders:?}");
    assert!(orders.kept as u64 >= REQUESTS / 5);
}
