//! What an engine does for a shop, with a signed repository and real files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{fs, sync::Arc, time::Duration};

use engine_support::{Host, ORDERS, Releases, SETTINGS, at_once, command, files, manifest, perform, runtime, zero};
use plugmend_agent::{
    domain::installed::LayoutKind,
    engine::{Ended, NoProgress, OpenError},
};
use plugmend_shared::{
    bundle::manifest::{SmokeTest, Undo},
    protocol::command::{CommandKind, Outcome, OutcomeStatus},
};

const LAYOUTS: [LayoutKind; 3] = [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub];

struct Shop {
    _top: tempfile::TempDir,
    host: Host,
}

/// A shop whose repository has 1.1.0 and 1.2.0.
fn shop(layout: LayoutKind) -> Shop {
    shop_with(layout, |_| {})
}

fn shop_with(layout: LayoutKind, more: impl FnOnce(&mut Releases)) -> Shop {
    let top = tempfile::tempdir().unwrap();
    let host = Host::new(top.path(), layout);
    let mut releases = Releases::new();
    for version in ["1.1.0", "1.2.0"] {
        let files = files(version, version);
        releases.add(manifest(version, &files), files);
    }
    more(&mut releases);
    releases.save(&host.repository());
    Shop { _top: top, host }
}

fn acked(ended: Ended) -> Outcome {
    match ended {
        Ended::Ack(outcome) => outcome,
        other => panic!("not carried out: {other:?}"),
    }
}

fn failed(ended: Ended) -> (String, bool, Outcome) {
    match ended {
        Ended::Fail {
            error,
            retryable,
            result,
        } => (error, retryable, result),
        other => panic!("it should have failed: {other:?}"),
    }
}

fn update(n: u64, version: &str) -> plugmend_shared::protocol::command::Command {
    command(n, CommandKind::Update, Some(version))
}

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
fn bad_settings_are_taken_back_key_by_key() {
    let Shop { _top, mut host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    drop(engine);
    host.bad_version = Some("1.1.0".to_owned());
    let mut engine = host.open().unwrap();
    let mut order = command(2, CommandKind::ConfigUpdate, None);
    order.payload.config = serde_json::json!({"timeout_ms": 2000}).as_object().cloned();
    let (error, _, outcome) = failed(perform(&mut engine, &order));
    assert!(error.starts_with("probe_fatal"), "{error}");
    assert_eq!(outcome.status, OutcomeStatus::Reverted);
    let now: serde_json::Value = serde_json::from_slice(&fs::read(host.plugin().join(SETTINGS)).unwrap()).unwrap();
    assert_eq!(now, serde_json::json!({"timeout_ms": 1000, "secret": "mine"}));
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
fn a_reload_hook_that_fails_takes_the_release_back_but_does_not_hold_it_back() {
    let Shop { _top, mut host } = shop(LayoutKind::Symlink);
    host.reload = Some(vec!["/bin/false".to_owned()]);
    let mut engine = host.open().unwrap();
    let (error, retryable, outcome) = failed(perform(&mut engine, &update(1, "1.1.0")));
    assert!(error.starts_with("hook_failed") && retryable, "{error}");
    assert_eq!(outcome.status, OutcomeStatus::Reverted);
    assert_eq!(host.visible(), zero());
    drop(engine);
    host.reload = None;
    acked(perform(&mut host.open().unwrap(), &update(2, "1.1.0")));
}

#[test]
fn a_change_on_trial_can_be_sent_back_and_a_stop_leaves_it_for_the_next_start() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let signals: Arc<plugmend_agent::engine::Signals> = Arc::default();
    let mut engine = host
        .open_with(Arc::default(), Arc::clone(&signals), Arc::default())
        .unwrap();
    let mut order = update(1, "1.1.0");
    order.payload.health = Some(plugmend_shared::protocol::command::HealthPolicy {
        extended_watch_seconds: 1800,
        ..at_once()
    });
    signals.stop();
    assert_eq!(perform(&mut engine, &order), Ended::Stopped);
    drop(engine);
    let signals: Arc<plugmend_agent::engine::Signals> = Arc::default();
    let mut engine = host
        .open_with(Arc::default(), Arc::clone(&signals), Arc::default())
        .unwrap();
    assert_eq!(engine.status().change.unwrap().stage, "trial");
    assert_eq!(host.visible(), files("1.1.0", "1.1.0"));
    signals.go_back();
    let resumed = runtime().block_on(engine.resume(&NoProgress)).unwrap();
    let Some((Some(command), Ended::Fail { error, .. })) = resumed else {
        panic!("{resumed:?}");
    };
    assert_eq!(command, order.id);
    assert!(error.starts_with("asked_to_go_back"), "{error}");
    assert_eq!(host.visible(), zero());
}

#[test]
fn going_back_works_without_the_repository() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    acked(perform(&mut engine, &update(2, "1.2.0")));
    let away = host.top.join("away");
    fs::rename(host.repository(), &away).unwrap();
    let (error, retryable, _) = failed(perform(&mut engine, &update(3, "1.1.0")));
    assert!(error.starts_with("unreachable") && retryable, "{error}");
    acked(perform(&mut engine, &command(4, CommandKind::Rollback, None)));
    assert_eq!(host.visible(), files("1.1.0", "1.1.0"));
    fs::rename(away, host.repository()).unwrap();
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
