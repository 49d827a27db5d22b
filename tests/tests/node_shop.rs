//! The Node shop itself: a plugin swapped by symbolic link and graceful reload loses no customer.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use plugmend_tests::{
    load::{Load, Plan, Report, Swap},
    npm,
    shop::{
        node::{self, NodeShop, Place},
        payments::{self, Customers},
    },
};

fn flip(plugin: &Path, to: &Path) {
    let beside = plugin.with_extension("next");
    symlink(to, &beside).unwrap();
    fs::rename(&beside, plugin).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_notice_nothing_of_a_symlink_swap_with_a_graceful_reload() {
    node::ensure().unwrap();
    let home = tempfile::tempdir().unwrap();
    let place = Place::prepare(home.path()).unwrap();
    let trees = [&payments::FIRST, &payments::SECOND].map(|package| {
        let to = home.path().join("plugins").join(package.version);
        npm::run(
            std::process::Command::new("cp")
                .arg("-r")
                .arg(payments::tree(package).unwrap())
                .arg(&to),
        )
        .unwrap();
        (package.version, to)
    });
    flip(&place.plugin, &trees[0].1);
    let shop = NodeShop::start(&place, node::port().unwrap(), None).unwrap();
    let mut swaps = vec![Swap::at(Instant::now(), trees[0].0)];
    let plan = Plan {
        keep_alive: 4,
        fresh: 4,
        pause: Duration::from_millis(4),
        limit: 1_000_000,
    };
    let load = Load::start(shop.at(), Arc::new(Customers::default()), plan);

    for round in 1..=4 {
        let (version, tree) = &trees[round % 2];
        let goal = load.sent() + 300;
        plugmend_tests::wait::until_async("customers", Duration::from_secs(30), async || {
            Ok((load.sent() > goal).then_some(()))
        })
        .await
        .unwrap();
        let begun = Instant::now();
        flip(&place.plugin, tree);
        let hook = place.reload_hook();
        tokio::task::block_in_place(|| npm::run(std::process::Command::new(&hook[0]).args(&hook[1..]))).unwrap();
        swaps.push(Swap {
            begun,
            done: Instant::now(),
            version: (*version).to_owned(),
        });
    }

    let report = Report::of(&load.finish().await.unwrap(), &swaps);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.by_version.len(), 2, "{report}");
}
