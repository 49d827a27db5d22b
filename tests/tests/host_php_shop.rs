//! The PHP shop itself: real nginx, real PHP-FPM, customers who would notice a mixture.

use std::{fs, sync::Arc, time::Duration};

use plugmend_tests::{
    load::{Load, Plan, Report},
    ports,
    shop::{
        gateway,
        php::{self, OpCache, PhpShop, Place},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, PHP-FPM and nginx: make test-host"]
async fn a_shop_that_nobody_touches_serves_one_version_and_loses_no_order() {
    let home = php::open_folder().unwrap();
    let place = Place::prepare(home.path()).unwrap();
    gateway::write(&place.plugin, "1.0.0").unwrap();
    fs::create_dir(place.plugin.join(gateway::OWN_DATA)).unwrap();
    php::give_to_pool(&place.plugin.join(gateway::OWN_DATA)).unwrap();
    let shop = PhpShop::start(&place, ports::free().unwrap(), OpCache::Default).unwrap();
    let plan = Plan {
        keep_alive: 3,
        fresh: 3,
        pause: Duration::ZERO,
        limit: 2_000,
    };

    let mut load = Load::start(shop.at(), Arc::new(gateway::Customers), plan);
    load.run_out().await;

    let report = Report::of(&load.finish().await.unwrap(), &[]);
    assert!(report.is_clean(), "{report}");
    let orders = fs::read_to_string(&place.orders).unwrap();
    assert_eq!(orders.lines().count(), 500);
}
