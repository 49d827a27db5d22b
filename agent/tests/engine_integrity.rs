//! Files that are not as signed, and settings that somebody changed: found, told, kept as evidence, healed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{collections::BTreeMap, fs};

use engine_support::{
    Releases, SETTINGS, Shop, acked, command, files, manifest, perform, runtime, shop, shop_with, update,
};
use plugmend_agent::domain::installed::LayoutKind;
use plugmend_shared::{
    ids::Digest,
    protocol::{
        command::{CommandKind, OutcomeStatus},
        heartbeat::{FoundCounts, FoundKind},
    },
};

const EVIL: &[u8] = b"<?php evil();";

#[test]
fn what_is_wrong_with_each_file_is_told_and_a_copy_is_kept_before_it_is_healed() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    let plugin = host.plugin();
    fs::write(plugin.join("lib/deep/inner.php"), EVIL).unwrap();
    fs::write(plugin.join("lib/shell.php"), EVIL).unwrap();
    fs::remove_file(plugin.join("twin-a")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", plugin.join("lib/link")).unwrap();
    let found = engine.inspect().unwrap();
    let report = found.report(true).unwrap();
    assert!(!report.intact && report.watched);
    let counts = FoundCounts {
        changed: 1,
        missing: 1,
        extra: 2,
    };
    assert_eq!(report.counts, counts);
    let by_path: BTreeMap<&str, _> = report
        .found
        .iter()
        .map(|found| (found.path.as_str(), (found.kind, found.sha256)))
        .collect();
    let evil = Some(Digest::of(EVIL));
    let expected = BTreeMap::from([
        ("lib/deep/inner.php", (FoundKind::Changed, evil)),
        ("lib/shell.php", (FoundKind::Extra, evil)),
        ("lib/link", (FoundKind::Extra, None)),
        ("twin-a", (FoundKind::Missing, None)),
    ]);
    assert_eq!(by_path, expected);
    // The same again is the same evidence.
    assert_eq!(engine.inspect().unwrap().evidence, report.evidence);
    acked(perform(&mut engine, &update(2, "1.1.0")));
    assert!(engine.inspect().unwrap().intact);
    assert_eq!(host.visible(), files("1.1.0", "1.1.0"));
    let set = host.top.join("state").join(report.evidence.unwrap());
    let copies: Vec<Vec<u8>> = fs::read_dir(&set)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name() != "found.json")
        .map(|entry| fs::read(entry.path()).unwrap())
        .collect();
    assert_eq!(copies, [EVIL, EVIL], "and nothing of what the link leads to");
}

#[test]
fn evidence_is_bounded() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    for n in 0..12 {
        fs::write(host.plugin().join("lib/shell.php"), n.to_string()).unwrap();
        assert!(engine.inspect().unwrap().evidence.is_some());
    }
    let sets = fs::read_dir(host.top.join("state/evidence")).unwrap().count();
    assert_eq!(sets, 5);
}

#[test]
fn the_release_that_runs_can_be_laid_out_anew_whatever_it_can_follow() {
    let narrow = |releases: &mut Releases| {
        let files = files("1.3.0", "1.3.0");
        let mut new = manifest("1.3.0", &files);
        new.compat.from = Some("<1.3.0".parse().unwrap());
        releases.add(new, files);
    };
    let Shop { _top, host } = shop_with(LayoutKind::Exchange, narrow);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.3.0")));
    let unchanged = acked(perform(&mut engine, &update(2, "1.3.0")));
    assert_eq!(unchanged.status, OutcomeStatus::Unchanged);
    let mut order = update(3, "1.3.0");
    order.payload.reinstall = true;
    assert_eq!(acked(perform(&mut engine, &order)).status, OutcomeStatus::Committed);
    fs::write(host.plugin().join("pay.php"), EVIL).unwrap();
    assert_eq!(
        acked(perform(&mut engine, &update(4, "1.3.0"))).status,
        OutcomeStatus::Committed
    );
    assert_eq!(host.visible(), files("1.3.0", "1.3.0"));
    // What ran before is still what one can go back to.
    acked(perform(&mut engine, &command(5, CommandKind::Rollback, None)));
    assert_eq!(host.visible(), engine_support::zero());
}

#[test]
fn settings_that_orders_have_set_are_watched_and_the_plugins_own_are_not() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    assert!(engine.inspect_settings().is_none(), "no order has set any");
    let mut order = command(2, CommandKind::ConfigUpdate, None);
    order.payload.config = serde_json::json!({"timeout_ms": 2000}).as_object().cloned();
    acked(perform(&mut engine, &order));
    let fine = engine.inspect_settings().unwrap();
    assert_eq!((fine.drifted.len(), fine.managed_sha256), (0, fine.found_sha256));
    let settings = host.plugin().join(SETTINGS);
    fs::write(&settings, r#"{"timeout_ms": 2000, "secret": "mine", "own": 1}"#).unwrap();
    assert!(engine.inspect_settings().unwrap().drifted.is_empty());
    fs::write(&settings, r#"{"timeout_ms": 9, "secret": "mine", "own": 1}"#).unwrap();
    let drifted = engine.inspect_settings().unwrap();
    assert_eq!(drifted.drifted, ["timeout_ms"]);
    drop(engine);
    let mut engine = host.open().unwrap();
    assert_eq!(
        engine.inspect_settings().unwrap().drifted,
        ["timeout_ms"],
        "also after a restart"
    );
    order.id = command(3, CommandKind::ConfigUpdate, None).id;
    order.payload.generation = plugmend_shared::generation::Generation(3);
    acked(perform(&mut engine, &order));
    assert!(engine.inspect_settings().unwrap().drifted.is_empty());
}

#[test]
fn a_changed_file_is_seen_at_once() {
    for layout in [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub] {
        let Shop { _top, host } = shop(layout);
        let mut engine = host.open().unwrap();
        runtime().block_on(async { assert!(engine.watch_installed().unwrap().is_none(), "nothing signed") });
        acked(perform(&mut engine, &update(1, "1.1.0")));
        runtime().block_on(async {
            let watcher = engine.watch_installed().unwrap().unwrap();
            let tree = match fs::read_to_string(host.plugin().join(".plugmend-current")) {
                Ok(name) => host.plugin().join("versions").join(name),
                Err(_) => host.plugin(),
            };
            fs::write(tree.join("lib/deep/inner.php"), EVIL).unwrap();
            assert!(watcher.changed().await.unwrap().tree, "{layout}");
        });
    }
}

/// Each hides what it lies beside, if what can not be looked into ends the look.
#[test]
fn nothing_that_an_intruder_puts_there_blinds_the_look_or_bars_the_healing() {
    type Trick = (&'static str, fn(&std::path::Path));
    let tricks: [Trick; 3] = [
        ("deep", |plugin| {
            fs::create_dir_all(plugin.join("x/".repeat(70))).unwrap();
        }),
        ("file for folder", |plugin| {
            fs::remove_dir_all(plugin.join("lib/deep")).unwrap();
            fs::write(plugin.join("lib/deep"), EVIL).unwrap();
        }),
        ("link", |plugin| {
            let away = plugin.with_file_name("away");
            fs::rename(plugin, &away).unwrap();
            std::os::unix::fs::symlink(away, plugin).unwrap();
        }),
    ];
    for (name, trick) in tricks {
        let Shop { _top, host } = shop(LayoutKind::Exchange);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        fs::write(host.plugin().join("shell.php"), EVIL).unwrap();
        trick(&host.plugin());
        let found = engine.inspect().unwrap();
        assert!(found.signed && !found.intact, "{name}: {found:?}");
        if name == "link" {
            continue;
        }
        assert!(found.differing.contains(&"shell.php".to_owned()), "{name}: {found:?}");
        acked(perform(&mut engine, &update(2, "1.1.0")));
        assert_eq!(host.visible(), files("1.1.0", "1.1.0"), "{name}");
    }
}

/// A copy of the folder with one file more, put in its place while the agent is down.
#[test]
fn a_folder_that_somebody_replaced_is_compared_on_and_can_be_left() {
    for layout in [LayoutKind::Exchange, LayoutKind::Symlink] {
        let Shop { _top, host } = shop(layout);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        acked(perform(&mut engine, &update(2, "1.2.0")));
        drop(engine);
        let tree = host.plugin().canonicalize().unwrap();
        let copy = tree.with_file_name("copy");
        let copied = std::process::Command::new("cp")
            .args(["-a".as_ref(), tree.as_os_str(), copy.as_os_str()])
            .status();
        assert!(copied.unwrap().success());
        fs::write(copy.join("shell.php"), EVIL).unwrap();
        fs::rename(&tree, tree.with_file_name("away")).unwrap();
        fs::rename(&copy, &tree).unwrap();
        for _ in 0..2 {
            let mut engine = host.open().unwrap();
            let found = engine.inspect().unwrap();
            assert!(found.signed && !found.intact, "{layout}: {found:?}");
            assert_eq!(found.differing, ["shell.php"], "{layout}");
        }
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &command(3, CommandKind::Rollback, Some("1.1.0"))));
        assert_eq!(host.visible(), files("1.1.0", "1.1.0"), "{layout}");
        assert!(engine.inspect().unwrap().intact, "{layout}");
    }
}
