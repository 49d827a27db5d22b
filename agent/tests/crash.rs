//! Kill -9 at every step of a change and inside every file operation, a full disk at each of them, and kills at random
//! moments: the plugin is wholly the old or wholly the new version at once and after the next start, the ledger
//! settles, and a plugin that writes orders all the while loses none and doubles none.
//!
//! The engine runs in a child process: this very program, told so by the environment.
#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

#[path = "crash/child.rs"]
mod child;
#[path = "crash/shop.rs"]
mod shop;
#[path = "crash/writer.rs"]
mod writer;

use std::time::Duration;

use child::Faults;
use plugmend_agent::domain::installed::LayoutKind;
use shop::{Scenario, Shop};

const SCENARIOS: [Scenario; 4] = [
    Scenario::Update,
    Scenario::BadUpdate,
    Scenario::Rollback,
    Scenario::Config,
];

/// Kills the change at every point it passes, each time it passes it.
fn killed_everywhere(layout: LayoutKind, scenario: Scenario) {
    for (point, nth) in shop::points(layout, scenario) {
        let shop = Shop::new(layout);
        let place = format!("{layout} {scenario:?} at {point}#{nth}");
        shop.prepare(scenario);
        let ended = shop.run(scenario, &Faults::kill(&point, nth));
        assert!(ended.killed, "{place}: the point was not passed");
        shop.assert_whole(scenario, &place);
        shop.assert_settles(scenario, &place);
    }
}

/// The disk is full from each point on, and then there is room again.
fn full_everywhere(layout: LayoutKind, scenario: Scenario) {
    for (point, nth) in shop::points(layout, scenario) {
        let shop = Shop::new(layout);
        let place = format!("{layout} {scenario:?} full from {point}#{nth}");
        shop.prepare(scenario);
        let ended = shop.run(scenario, &Faults::full(&point, nth));
        assert!(!ended.killed, "{place}: {}", ended.log);
        shop.assert_whole(scenario, &place);
        shop.assert_settles(scenario, &place);
    }
}

macro_rules! everywhere {
    ($($killed:ident $full:ident $layout:ident $scenario:ident;)*) => {$(
        #[test]
        fn $killed() {
            killed_everywhere(LayoutKind::$layout, Scenario::$scenario);
        }

        #[test]
        fn $full() {
            full_everywhere(LayoutKind::$layout, Scenario::$scenario);
        }
    )*};
}

everywhere! {
    killed_anywhere_in_an_update_exchange a_full_disk_in_an_update_exchange Exchange Update;
    killed_anywhere_in_an_update_symlink a_full_disk_in_an_update_symlink Symlink Update;
    killed_anywhere_in_an_update_stub a_full_disk_in_an_update_stub Stub Update;
    killed_anywhere_in_a_bad_update_exchange a_full_disk_in_a_bad_update_exchange Exchange BadUpdate;
    killed_anywhere_in_a_bad_update_symlink a_full_disk_in_a_bad_update_symlink Symlink BadUpdate;
    killed_anywhere_in_a_bad_update_stub a_full_disk_in_a_bad_update_stub Stub BadUpdate;
    killed_anywhere_on_the_way_back_exchange a_full_disk_on_the_way_back_exchange Exchange Rollback;
    killed_anywhere_on_the_way_back_symlink a_full_disk_on_the_way_back_symlink Symlink Rollback;
    killed_anywhere_on_the_way_back_stub a_full_disk_on_the_way_back_stub Stub Rollback;
    killed_anywhere_in_new_settings_exchange a_full_disk_in_new_settings_exchange Exchange Config;
    killed_anywhere_in_new_settings_symlink a_full_disk_in_new_settings_symlink Symlink Config;
    killed_anywhere_in_new_settings_stub a_full_disk_in_new_settings_stub Stub Config;
}

#[test]
fn a_start_on_a_full_disk_goes_on_with_a_change_on_trial_and_takes_it_back() {
    for layout in [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub] {
        for (killed_at, place) in [("engine.trial.look", "on trial"), ("engine.prune.tree", "at its end")] {
            let shop = Shop::new(layout);
            assert!(shop.run(Scenario::BadUpdate, &Faults::kill(killed_at, 1)).killed);
            let started = shop.start(&Faults::full("ledger.create", 1));
            assert_eq!(started.report.open_error, None, "{place}: {}", started.log);
            assert_eq!(started.report.stuck, None, "{place}");
            assert_eq!(
                started.report.version.as_deref(),
                Some("1.0.0"),
                "{place}: {}",
                started.log
            );
            shop.assert_settles(Scenario::Update, place);
        }
    }
}

#[test]
fn a_start_on_a_full_disk_settles_what_was_interrupted() {
    for killed_at in [
        "engine.activate.before_swap",
        "engine.activate.swapped",
        "engine.finish.recorded",
    ] {
        let shop = Shop::new(LayoutKind::Symlink);
        assert!(shop.run(Scenario::Update, &Faults::kill(killed_at, 1)).killed);
        let started = shop.start(&Faults::full("ledger.create", 1));
        assert_eq!(started.report.open_error, None, "{killed_at}: {}", started.log);
        shop.assert_whole(Scenario::Update, killed_at);
        shop.assert_settles(Scenario::Update, killed_at);
    }
}

#[test]
fn a_way_back_is_gone_and_recorded_on_a_full_disk() {
    for layout in [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub] {
        let shop = Shop::new(layout);
        shop.prepare(Scenario::Rollback);
        let gone = shop.run(Scenario::Rollback, &Faults::full("ledger.create", 1));
        assert_eq!(
            gone.report.version.as_deref(),
            Some("1.0.0"),
            "{:?} {}",
            gone.report,
            gone.log
        );
        assert_eq!(
            shop.start(&Faults::none()).report.version_at_open.as_deref(),
            Some("1.0.0")
        );
        for point in ["ledger.spare_written", "ledger.spare_taken", "ledger.before_is_spare"] {
            let shop = Shop::new(layout);
            shop.prepare(Scenario::Rollback);
            let killed = shop.run(Scenario::Rollback, &Faults::full_then_kill("ledger.create", point));
            assert!(killed.killed, "{point}");
            shop.assert_whole(Scenario::Rollback, point);
            shop.assert_settles(Scenario::Rollback, point);
        }
    }
}

/// Seventy kills each, at moments that a fixed sequence draws, with a plugin that writes orders all the while.
fn killed_at_random(layout: LayoutKind, seed: u64) {
    let shop = Shop::new(layout);
    let writer = shop.write_orders();
    let mut random = seed;
    let mut killed = 0;
    let mut rounds = 0;
    while killed < 70 {
        rounds += 1;
        assert!(rounds < 2_000, "the child is never caught");
        let scenario = SCENARIOS[rounds % SCENARIOS.len()];
        // xorshift64 (Marsaglia 2003): any spread over the change's length will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let ended = shop.run(scenario, &Faults::after(Duration::from_micros(random % 300_000)));
        killed += u32::from(ended.killed);
        let place = format!("{layout} round {rounds}");
        shop.assert_some_version(&place);
        shop.assert_opens(&place);
        shop.assert_some_version(&place);
    }
    writer.assert_each_once(&shop.host);
}

#[test]
fn seventy_kills_at_random_moments_lose_no_order_with_exchange() {
    killed_at_random(LayoutKind::Exchange, 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn seventy_kills_at_random_moments_lose_no_order_with_symlink() {
    killed_at_random(LayoutKind::Symlink, 0xbf58_476d_1ce4_e5b9);
}

#[test]
fn seventy_kills_at_random_moments_lose_no_order_with_stub() {
    killed_at_random(LayoutKind::Stub, 0x94d0_49bb_1331_11eb);
}

/// Not a test of its own: what the others start.
#[test]
fn child() {
    child::be_one();
}
