//! What an engine does for a shop, with a signed repository and real files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{fs, sync::Arc, time::Duration};

use engine_support::{
    ORDERS, Releases, SETTINGS, Shop, acked, command, failed, files, manifest, perform, runtime, shop, shop_with,
    update, zero,
};
use plugmend_agent::{
    domain::installed::LayoutKind,
    engine::{Ended, NoProgress, OpenError},
};
use plugmend_shared::{
    bundle::{
        manifest::{SmokeTest, Undo},
        path::RelPath,
    },
    protocol::command::{CommandKind, OutcomeStatus},
};

const LAYOUTS: [LayoutKind; 3] = [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub];

#[test]
fn each_layout_updates_goes_back_and_keeps_the_plugins_data() {
    for layout in LAYOUTS {
        let Shop { _top, host } = shop(layout);
        let orders = host.plugin().join(ORDERS);
        fs::write(&orders, "1\n").unwrap();
        let mut engine = host.open().unwrap();
        for (n, version) in [(1, "1.1.0"), (2, "1.2.0")] {
            let outcome = acked(perform(&mut engine, &update(n, version)));
            assert_eq!(outcome.status, OutcomeStatus::Committed, "{layout}");
            assert_eq!(host.visible(), files(version, version), "{layout}");
            assert!(engine.verify().unwrap().intact, "{layout} {:?}", engine.verify());
            assert_eq!(fs::read_to_string(&orders).unwrap(), "1\n", "{layout}");
        }
        let back = acked(perform(&mut engine, &command(3, CommandKind::Rollback, None)));
        assert_eq!(back.version.unwrap().to_string(), "1.1.0");
        assert_eq!(host.visible(), files("1.1.0", "1.1.0"), "{layout}");
        let back = acked(perform(&mut engine, &command(4, CommandKind::Rollback, Some("1.0.0"))));
        assert_eq!(back.release_digest, None);
        assert_eq!(host.visible(), zero(), "{layout}");
        assert_eq!(fs::read_to_string(&orders).unwrap(), "1\n", "{layout}");
        drop(engine);
        assert!(host.open().is_ok(), "{layout}");
    }
}

#[test]
fn a_second_update_is_one_small_delta_pack() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let asked = Arc::default();
    let mut engine = host
        .open_with(Arc::default(), Arc::default(), Arc::clone(&asked))
        .unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    asked.lock().unwrap().clear();
    let outcome = acked(perform(&mut engine, &update(2, "1.2.0")));
    let targets: Vec<_> = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|(path, _)| path.starts_with("targets/"))
        .cloned()
        .collect();
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert!(targets[0].0.contains("delta-"));
    assert_eq!(outcome.bytes_fetched, targets[0].1);
}

#[test]
fn an_adopted_folder_that_is_a_signed_release_is_known_as_such() {
    let like = |releases: &mut Releases| {
        releases.add(manifest("1.0.0", &zero()), zero());
        let newer = files("1.0.1", "1.0.1");
        releases.add(manifest("1.0.1", &newer), newer);
    };
    for layout in LAYOUTS {
        let Shop { _top, host } = shop_with(layout, like);
        let asked = Arc::default();
        let mut engine = host
            .open_with(Arc::default(), Arc::default(), Arc::clone(&asked))
            .unwrap();
        assert!(!engine.verify().unwrap().signed, "nothing was asked yet");
        assert!(runtime().block_on(engine.recognise()).unwrap(), "{layout}");
        let known = engine.verify().unwrap();
        assert!(known.signed && known.intact, "{layout} {known:?}");
        drop(engine);
        let mut engine = host
            .open_with(Arc::default(), Arc::default(), Arc::clone(&asked))
            .unwrap();
        asked.lock().unwrap().clear();
        acked(perform(&mut engine, &update(1, "1.0.1")));
        let whole = asked.lock().unwrap().iter().any(|(path, _)| path.ends_with("pack"));
        assert!(!whole, "{layout} a delta was enough: {asked:?}");
        acked(perform(&mut engine, &command(2, CommandKind::Rollback, None)));
        assert_eq!(host.visible(), zero(), "{layout}");
        assert!(engine.verify().unwrap().intact, "{layout}");
    }
}

#[test]
fn an_adopted_folder_that_somebody_changed_is_not_taken_for_a_release() {
    let like = |releases: &mut Releases| {
        releases.add(manifest("1.0.0", &zero()), zero());
    };
    let Shop { _top, host } = shop_with(LayoutKind::Exchange, like);
    fs::write(host.plugin().join("lib/mine.php"), "<?php // a patch of my own").unwrap();
    let mut engine = host.open().unwrap();
    assert!(!runtime().block_on(engine.recognise()).unwrap());
    assert!(!engine.verify().unwrap().signed);
    // Put under its signed release by an order.
    let outcome = acked(perform(&mut engine, &update(1, "1.0.0")));
    assert_eq!(outcome.status, OutcomeStatus::Committed);
    assert_eq!(host.visible(), zero());
}

#[test]
fn the_same_order_gets_the_same_answer_and_an_older_one_is_refused() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    let first = perform(&mut engine, &update(5, "1.1.0"));
    drop(engine);
    let mut engine = host.open().unwrap();
    assert_eq!(perform(&mut engine, &update(5, "1.1.0")), first);
    let (error, retryable, _) = failed(perform(&mut engine, &update(4, "1.2.0")));
    assert!(error.starts_with("outdated") && !retryable, "{error}");
    assert_eq!(host.visible(), files("1.1.0", "1.1.0"));
}

#[test]
fn a_release_that_fails_its_probe_is_taken_back_and_held_back() {
    for layout in LAYOUTS {
        let Shop { _top, mut host } = shop(layout);
        host.bad_version = Some("1.2.0".to_owned());
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        let (error, retryable, outcome) = failed(perform(&mut engine, &update(2, "1.2.0")));
        assert!(error.starts_with("probe_fatal") && !retryable, "{error}");
        assert_eq!(outcome.status, OutcomeStatus::Reverted);
        assert_eq!(host.visible(), files("1.1.0", "1.1.0"), "{layout}");
        let (error, _, _) = failed(perform(&mut engine, &update(3, "1.2.0")));
        assert!(error.starts_with("quarantined"), "{error}");
        assert!(engine.lift_quarantine(&"1.2.0".parse().unwrap()).unwrap());
    }
}

#[test]
fn settings_are_set_by_key_and_the_hosts_own_are_left_alone() {
    for layout in LAYOUTS {
        let Shop { _top, host } = shop(layout);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        let mut order = command(2, CommandKind::ConfigUpdate, None);
        order.payload.config = serde_json::json!({"timeout_ms": 2000}).as_object().cloned();
        acked(perform(&mut engine, &order));
        let settings = host.plugin().join(SETTINGS);
        let now: serde_json::Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
        assert_eq!(
            now,
            serde_json::json!({"timeout_ms": 2000, "secret": "mine"}),
            "{layout}"
        );
        let mut order = command(3, CommandKind::ConfigUpdate, None);
        order.payload.config = serde_json::json!({"secret": "stolen"}).as_object().cloned();
        let (error, _, _) = failed(perform(&mut engine, &order));
        assert!(error.starts_with("setting_not_allowed"), "{error}");
        // Settings survive the next release.
        acked(perform(&mut engine, &update(4, "1.2.0")));
        let kept: serde_json::Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
        assert_eq!(kept, now, "{layout}");
    }
}

#[test]
fn a_tampered_tree_is_seen_and_healed_from_verified_content() {
    for layout in LAYOUTS {
        let Shop { _top, host } = shop(layout);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        let tree = match fs::read_to_string(host.plugin().join(".plugmend-current")) {
            Ok(name) => host.plugin().join("versions").join(name),
            Err(_) => host.plugin(),
        };
        fs::write(tree.join("lib/deep/inner.php"), "<?php evil();").unwrap();
        fs::write(tree.join("lib/shell.php"), "<?php evil();").unwrap();
        let found = engine.verify().unwrap();
        assert_eq!((found.intact, found.count), (false, 2), "{layout}");
        let outcome = acked(perform(&mut engine, &update(2, "1.1.0")));
        assert_eq!(outcome.status, OutcomeStatus::Committed, "{layout}");
        assert!(engine.verify().unwrap().intact, "{layout}");
        assert_eq!(host.visible(), files("1.1.0", "1.1.0"), "{layout}");
        let again = acked(perform(&mut engine, &update(3, "1.1.0")));
        assert_eq!(again.status, OutcomeStatus::Unchanged, "{layout}");
    }
}

#[test]
fn what_can_not_be_undone_waits_for_a_snapshot() {
    let add = |releases: &mut Releases| {
        let files = files("2.0.0", "2.0.0");
        let mut new = manifest("2.0.0", &files);
        new.undo = Undo::NeedsSnapshot;
        releases.add(new, files);
    };
    let Shop { _top, mut host } = shop_with(LayoutKind::Exchange, add);
    let mut engine = host.open().unwrap();
    let (error, _, _) = failed(perform(&mut engine, &update(1, "2.0.0")));
    assert!(error.starts_with("no_snapshot_hook"), "{error}");
    drop(engine);
    host.snapshot = Some(vec!["/bin/false".to_owned()]);
    let mut engine = host.open().unwrap();
    let (error, retryable, _) = failed(perform(&mut engine, &update(2, "2.0.0")));
    assert!(error.starts_with("snapshot_failed") && retryable, "{error}");
    assert_eq!(host.visible(), zero());
    drop(engine);
    host.snapshot = Some(vec![
        "/bin/touch".to_owned(),
        host.top.join("snapshot").display().to_string(),
    ]);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(3, "2.0.0")));
    assert!(host.top.join("snapshot").exists());
    let (error, _, _) = failed(perform(&mut engine, &command(4, CommandKind::Rollback, None)));
    assert!(error.starts_with("data_changed"), "{error}");
    let forced = runtime().block_on(engine.rollback_local(None, true, &NoProgress));
    assert!(matches!(forced, Ended::Ack(_)), "{forced:?}");
    assert_eq!(host.visible(), zero());
}

#[test]
fn a_smoke_test_that_fails_keeps_the_release_away() {
    let add = |releases: &mut Releases| {
        for (version, script) in [("1.3.0", "test -f pay.php && echo fine"), ("1.4.0", "exit 7")] {
            let files = files(version, version);
            let mut new = manifest(version, &files);
            new.smoke_tests = vec![SmokeTest {
                name: "it loads".to_owned(),
                argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
                timeout_ms: 20_000,
                exit: 0,
                stdout_contains: Some("fine".to_owned()),
            }];
            releases.add(new, files);
        }
    };
    let Shop { _top, host } = shop_with(LayoutKind::Exchange, add);
    let mut engine = host.open().unwrap();
    let (error, _, _) = failed(perform(&mut engine, &update(1, "1.4.0")));
    assert!(error.starts_with("smoke_test_failed"), "{error}");
    assert_eq!(host.visible(), zero());
    acked(perform(&mut engine, &update(2, "1.3.0")));
    assert_eq!(host.visible(), files("1.3.0", "1.3.0"));
}

#[test]
fn a_release_that_never_ran_leaves_no_data_of_its_own_behind() {
    let preserves = |releases: &mut Releases, version: &str, path: &str, smoke: bool| {
        let mut files = files(version, version);
        if !smoke {
            files.insert("cache/schema.sql".to_owned(), b"create".to_vec());
        }
        let mut manifest = manifest(version, &files);
        manifest.preserve.insert(0, RelPath::new(path).unwrap());
        if smoke {
            manifest.smoke_tests.push(SmokeTest {
                name: "it never passes".to_owned(),
                argv: vec!["/bin/false".to_owned()],
                timeout_ms: 20_000,
                exit: 0,
                stdout_contains: None,
            });
        }
        releases.add(manifest, files);
    };
    let Shop { _top, host } = shop_with(LayoutKind::Exchange, |releases| {
        preserves(releases, "1.3.0", "cache", true);
        preserves(releases, "1.3.1", "cache/orders", false);
    });
    let mut engine = host.open().unwrap();
    failed(perform(&mut engine, &update(1, "1.3.0")));
    acked(perform(&mut engine, &update(2, "1.3.1")));
    assert!(host.plugin().join("cache/orders").is_symlink());
    assert!(!host.plugin().join("cache").is_symlink());
}

#[test]
fn an_expired_order_is_refused() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    let mut order = update(1, "1.1.0");
    order.payload.expires_in_s = Some(60);
    let ended = runtime().block_on(engine.perform(&order, Duration::from_secs(61), &NoProgress));
    let (error, _, _) = failed(ended);
    assert!(error.starts_with("expired"), "{error}");
    assert_eq!(host.visible(), zero());
}

#[test]
fn a_bad_byte_in_a_pack_is_refused_before_activation() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let packs = fs::read_dir(host.repository().join("targets").join(fixture::PRODUCT).join("1.1.0")).unwrap();
    for entry in packs {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            bytes[20] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let mut engine = host.open().unwrap();
    let (error, _, _) = failed(perform(&mut engine, &update(1, "1.1.0")));
    assert!(error.starts_with("bad_pack"), "{error}");
    assert_eq!(host.visible(), zero());
    assert!(host.plugin().join(ORDERS).exists());
}

#[test]
fn a_place_that_can_not_be_served_is_refused_with_a_reason() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let first = host.open().unwrap();
    let second = host.open().err().unwrap();
    assert!(matches!(second, OpenError::Lock(_)), "{second:?}");
    drop(first);
    let elsewhere = host.top.join("plugins/elsewhere");
    fs::rename(host.plugin(), &elsewhere).unwrap();
    assert!(matches!(host.open().err().unwrap(), OpenError::Place(_)));
    std::os::unix::fs::symlink("elsewhere", host.plugin()).unwrap();
    assert!(matches!(host.open().err().unwrap(), OpenError::Swap(_)));
    fs::remove_file(host.plugin()).unwrap();
    fs::rename(elsewhere, host.plugin()).unwrap();
    let ledger = host.top.join("state/ledger");
    let bytes = fs::read(&ledger).unwrap();
    fs::write(&ledger, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(host.open().err().unwrap(), OpenError::Ledger(_)));
    fs::write(&ledger, bytes).unwrap();
    assert!(host.open().is_ok());
    assert_eq!(host.visible(), zero());
}
