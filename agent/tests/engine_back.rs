//! The ways back: from what does harm, from what somebody no longer wants, and no further than meant.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{
    fs,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use engine_support::{
    Folder, Host, SETTINGS, Shop, acked, at_once, command, failed, files, perform, runtime, shop, update, zero,
};
use plugmend_agent::{
    domain::installed::LayoutKind,
    engine::{Ended, Engine, Level, NoProgress, ProgressSink, Signals},
};
use plugmend_shared::{
    ids::CommandId,
    protocol::command::{Command, CommandKind, HealthPolicy, OutcomeStatus},
};

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
fn settings_that_the_plugin_spoils_on_trial_come_back_whole() {
    for spoil in ["echo '{' > $0", "rm $0; mkdir $0", "head -c 2000000 /dev/zero > $0"] {
        let Shop { _top, mut host } = shop(LayoutKind::Exchange);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        drop(engine);
        let (settings, spoilt) = (host.plugin().join(SETTINGS), host.top.join("spoilt"));
        host.bad_version = Some("1.1.0".to_owned());
        host.reload = Some(
            ["/bin/sh", "-c", &format!("test -e $1 || {{ {spoil}; touch $1; }}")]
                .map(str::to_owned)
                .into_iter()
                .chain([settings.display().to_string(), spoilt.display().to_string()])
                .collect(),
        );
        let mut engine = host.open().unwrap();
        let mut order = command(2, CommandKind::ConfigUpdate, None);
        order.payload.config = serde_json::json!({"timeout_ms": 2000}).as_object().cloned();
        let (error, _, outcome) = failed(perform(&mut engine, &order));
        assert!(error.starts_with("probe_fatal"), "{spoil}: {error}");
        assert_eq!(outcome.status, OutcomeStatus::Reverted, "{spoil}");
        assert!(
            outcome.explanation.contains("could not be read any more"),
            "{outcome:?}"
        );
        let now: serde_json::Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
        assert_eq!(
            now,
            serde_json::json!({"timeout_ms": 1000, "secret": "mine"}),
            "{spoil}"
        );
        acked(perform(&mut engine, &command(3, CommandKind::HealthCheck, None)));
    }
}

#[test]
fn a_release_that_did_harm_stays_held_back_whatever_the_plugin_saves_or_says() {
    let Shop { _top, mut host } = shop(LayoutKind::Exchange);
    host.bad_version = Some("1.2.0".to_owned());
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    failed(perform(&mut engine, &update(2, "1.2.0")));
    let save = |timeout: u32, sync: u32| {
        let text = format!("{{\"timeout_ms\": {timeout}, \"secret\": \"mine\", \"last_sync\": {sync}}}");
        fs::write(host.plugin().join(SETTINGS), text).unwrap();
    };
    save(1000, 1);
    engine.know_env([("uptime".to_owned(), "1234".to_owned())]);
    let (error, _, _) = failed(perform(&mut engine, &update(3, "1.2.0")));
    assert!(error.starts_with("quarantined"), "{error}");
    // What the manifest lets be set may be what made it ill.
    save(2000, 2);
    let (error, _, _) = failed(perform(&mut engine, &update(4, "1.2.0")));
    assert!(error.starts_with("probe_fatal"), "{error}");
}

#[test]
fn a_way_back_that_names_no_release_goes_no_further_than_meant() {
    let Shop { _top, mut host } = shop(LayoutKind::Exchange);
    host.bad_version = Some("1.2.0".to_owned());
    let mut engine = host.open().unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    failed(perform(&mut engine, &update(2, "1.2.0")));
    // It was given while 1.2.0 was on trial, and came when that had been taken back already.
    let back = acked(perform_late(&mut engine, &command(3, CommandKind::Rollback, None)));
    assert_eq!(back.status, OutcomeStatus::Unchanged);
    assert_eq!(host.visible(), files("1.1.0", "1.1.0"));
    // A person on the host who asks only now is asked which one is meant.
    let (error, _, _) = failed(runtime().block_on(engine.rollback_local(None, false, &NoProgress)));
    assert!(error.starts_with("already_back"), "{error}");
    acked(perform(&mut engine, &command(4, CommandKind::Rollback, Some("1.0.0"))));
    assert_eq!(host.visible(), zero());
}

#[test]
fn an_order_to_go_back_ends_a_long_watch_and_leaves_what_was_not_begun() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let signals: Arc<Signals> = Arc::default();
    let mut engine = host
        .open_with(Arc::default(), Arc::clone(&signals), Arc::default())
        .unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
    let mut order = update(2, "1.2.0");
    order.payload.health = Some(HealthPolicy {
        extended_watch_seconds: 1800,
        ..at_once()
    });
    let (asks, wish) = (Arc::clone(&signals), mpsc::channel::<()>());
    let asker = std::thread::spawn(move || {
        wish.1.recv().unwrap();
        asks.go_back();
    });
    let told = Told(Mutex::new(Some(wish.0)));
    let (error, retryable, outcome) = failed(runtime().block_on(engine.perform(&order, Duration::ZERO, &told)));
    asker.join().unwrap();
    assert!(error.starts_with("asked_to_go_back") && !retryable, "{error}");
    assert_eq!(outcome.status, OutcomeStatus::Reverted);
    // The wish holds until the next order is begun: one that comes before it is not carried out at all.
    let (error, retryable, outcome) = failed(perform(&mut engine, &update(3, "1.2.0")));
    assert!(error.starts_with("asked_to_go_back") && !retryable, "{error}");
    assert_eq!(outcome.status, OutcomeStatus::Refused);
    let back = acked(perform_late(&mut engine, &command(4, CommandKind::Rollback, None)));
    assert_eq!(back.status, OutcomeStatus::Unchanged);
    assert_eq!(host.visible(), files("1.1.0", "1.1.0"));
    signals.forget_back();
    acked(perform(&mut engine, &update(5, "1.2.0")));
}

/// Performs an order that was received a while ago.
fn perform_late(engine: &mut Engine<Folder>, command: &Command) -> Ended {
    runtime().block_on(engine.perform(command, Duration::from_secs(1), &NoProgress))
}

/// Wakes somebody when the trial has begun.
struct Told(Mutex<Option<mpsc::Sender<()>>>);

impl ProgressSink for Told {
    fn progress(&self, _: Option<CommandId>, step: &str, _: &str, _: Option<f64>) {
        if step == "trial"
            && let Some(wake) = self.0.lock().unwrap().take()
        {
            wake.send(()).unwrap();
        }
    }
}

#[test]
fn a_change_on_trial_can_be_sent_back_and_a_stop_leaves_it_for_the_next_start() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let signals: Arc<Signals> = Arc::default();
    let mut engine = host
        .open_with(Arc::default(), Arc::clone(&signals), Arc::default())
        .unwrap();
    let mut order = update(1, "1.1.0");
    order.payload.health = Some(HealthPolicy {
        extended_watch_seconds: 1800,
        ..at_once()
    });
    signals.stop();
    assert_eq!(perform(&mut engine, &order), Ended::Stopped);
    drop(engine);
    let signals: Arc<Signals> = Arc::default();
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
fn a_folder_that_somebody_replaced_on_trial_stops_no_agent_and_is_told_with_both_places() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let signals: Arc<Signals> = Arc::default();
    let mut engine = host
        .open_with(Arc::default(), Arc::clone(&signals), Arc::default())
        .unwrap();
    signals.stop();
    assert_eq!(perform(&mut engine, &update(1, "1.1.0")), Ended::Stopped);
    drop(engine);
    // Another updater, or a backup.
    fs::rename(host.plugin(), host.top.join("moved")).unwrap();
    engine_support::write(&host.plugin(), &files("1.3.0", "stranger"));
    let mut engine = host.open().unwrap();
    assert!(runtime().block_on(engine.resume(&NoProgress)).is_err());
    let zero_tree = host.work().join(engine.status().installed.name);
    let told = engine
        .doctor()
        .into_iter()
        .find(|finding| finding.topic == "change")
        .unwrap();
    assert!(
        told.level == Level::Bad && told.words.contains(zero_tree.to_str().unwrap()),
        "{told:?}"
    );
    let (error, _, _) = failed(runtime().block_on(engine.rollback_local(None, false, &NoProgress)));
    assert!(error.starts_with("stuck"), "{error}");
    assert_eq!(host.visible(), files("1.3.0", "stranger"), "nothing was touched");
    // A person puts one of the two back.
    fs::remove_dir_all(host.plugin()).unwrap();
    fs::rename(zero_tree, host.plugin()).unwrap();
    let (error, _, _) = failed(runtime().block_on(engine.resume(&NoProgress)).unwrap().unwrap().1);
    assert!(error.starts_with("taken_back"), "{error}");
    assert_eq!(host.visible(), zero());
    acked(perform(&mut engine, &update(2, "1.1.0")));
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
fn a_reload_hook_that_fails_takes_the_release_back_but_does_not_hold_it_back() {
    let Shop { _top, mut host } = shop(LayoutKind::Symlink);
    host.reload = Some(vec!["/bin/false".to_owned()]);
    let mut engine = host.open().unwrap();
    let (error, retryable, outcome) = failed(perform(&mut engine, &update(1, "1.1.0")));
    assert!(
        error.starts_with("hook_failed") && !retryable,
        "tried again, it would swap to and fro: {error}"
    );
    assert_eq!(outcome.status, OutcomeStatus::Reverted);
    assert_eq!(host.visible(), zero());
    drop(engine);
    host.reload = None;
    acked(perform(&mut host.open().unwrap(), &update(2, "1.1.0")));
}

#[test]
fn no_hook_that_fails_bars_a_way_back() {
    for layout in [LayoutKind::Symlink, LayoutKind::Exchange] {
        let Shop { _top, mut host } = shop(layout);
        acked(perform(&mut host.open().unwrap(), &update(1, "1.1.0")));
        // The release is so bad that its service and its PHP pool are down.
        host.reload = Some(vec!["/bin/false".to_owned()]);
        host.pool = Some(host.top.join("nobody-listens"));
        let mut engine = host.open().unwrap();
        let back = acked(perform(&mut engine, &command(2, CommandKind::Rollback, None)));
        assert_eq!(back.status, OutcomeStatus::Committed);
        assert!(back.explanation.contains("hook reload failed"), "{back:?}");
        assert!(back.explanation.contains("the PHP pool did not answer"), "{back:?}");
        assert_eq!(host.visible(), zero());
    }
}

#[test]
fn a_file_too_many_bars_no_way_back_and_a_changed_one_does() {
    for layout in [LayoutKind::Exchange, LayoutKind::Symlink, LayoutKind::Stub] {
        let Shop { _top, host } = shop(layout);
        let mut engine = host.open().unwrap();
        acked(perform(&mut engine, &update(1, "1.1.0")));
        fs::write(tree_of(&host, &engine).join("error_log"), "PHP Warning\n").unwrap();
        acked(perform(&mut engine, &update(2, "1.2.0")));
        let back = acked(perform(&mut engine, &command(3, CommandKind::Rollback, Some("1.1.0"))));
        assert_eq!(back.status, OutcomeStatus::Committed);
        assert!(back.explanation.contains("error_log"), "{back:?}");
        assert_eq!(engine.status().installed.version.to_string(), "1.1.0");
        // Signed code that was changed does not come back to run.
        acked(perform(&mut engine, &update(4, "1.2.0")));
        let previous = engine.status().previous.unwrap().name;
        let kept = [host.work(), host.plugin().join("versions")].map(|at| at.join(&previous));
        let kept = kept.iter().find(|at| at.is_dir()).unwrap();
        fs::write(kept.join("pay.php"), "<?php // planted\n").unwrap();
        let (error, _, _) = failed(perform(&mut engine, &command(5, CommandKind::Rollback, Some("1.1.0"))));
        assert!(error.starts_with("tree_changed"), "{error}");
        assert_eq!(engine.status().installed.version.to_string(), "1.2.0");
    }
}

/// The folder that runs.
fn tree_of(host: &Host, engine: &Engine<Folder>) -> std::path::PathBuf {
    let within = host.plugin().join("versions").join(engine.status().installed.name);
    if within.is_dir() { within } else { host.plugin() }
}

#[test]
fn a_reload_hook_that_fails_once_is_tried_again() {
    let Shop { _top, mut host } = shop(LayoutKind::Symlink);
    let ran = host.top.join("ran");
    let script = "test -e $0 || { touch $0; exit 1; }";
    host.reload = Some(vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        script.to_owned(),
        ran.display().to_string(),
    ]);
    acked(perform(&mut host.open().unwrap(), &update(1, "1.1.0")));
    assert!(ran.exists());
}

#[test]
fn what_is_withdrawn_right_before_activation_leaves_the_plugin_as_it_is() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let last_word = host.top.join("last_word");
    fs::write(
        &last_word,
        r#"{"go": false, "reason": "automatic changes are switched off"}"#,
    )
    .unwrap();
    let mut engine = host.open().unwrap();
    let (error, retryable, outcome) = failed(perform(&mut engine, &update(1, "1.1.0")));
    assert!(
        error.starts_with("withdrawn") && error.contains("switched off") && !retryable,
        "{error}"
    );
    assert_eq!(outcome.status, OutcomeStatus::Refused);
    assert_eq!(host.visible(), zero());
    fs::write(&last_word, r#"{"go": true}"#).unwrap();
    acked(perform(&mut engine, &update(2, "1.1.0")));
    // The way back asks nobody.
    fs::write(&last_word, r#"{"go": false}"#).unwrap();
    acked(perform(&mut engine, &command(3, CommandKind::Rollback, None)));
    assert_eq!(host.visible(), zero());
}

#[test]
fn an_order_that_nobody_confirms_is_left_and_can_be_tried_again() {
    let Shop { _top, host } = shop(LayoutKind::Exchange);
    let last_word = host.top.join("last_word");
    fs::write(&last_word, "nothing").unwrap();
    let mut engine = host.open().unwrap();
    let asked = runtime().block_on(async { engine.perform(&update(1, "1.1.0"), Duration::ZERO, &NoProgress).await });
    let (error, retryable, outcome) = failed(asked);
    assert!(error.starts_with("unconfirmed") && retryable, "{error}");
    assert_eq!(outcome.status, OutcomeStatus::Refused);
    assert_eq!(host.visible(), zero());
    fs::write(&last_word, r#"{"go": true}"#).unwrap();
    acked(perform(&mut engine, &update(1, "1.1.0")));
}
