use jiff::Timestamp;
use plugmend_shared::{ids::Digest, protocol::command::HealthPolicy};
use proptest::prelude::*;

use super::*;

fn tree(name: &str, ino: u64) -> Tree {
    Tree {
        name: name.to_owned(),
        ino,
        version: semver::Version::new(1, 0, 0),
        digest: Some(Digest::of(name.as_bytes())),
    }
}

fn change(kind: ChangeKind, needs_snapshot: bool) -> Change {
    Change {
        command: None,
        kind,
        from: tree("r0-1.0.0", 1),
        version: semver::Version::new(2, 0, 0),
        digest: None,
        waiting: None,
        needs_snapshot,
        health: HealthPolicy::default(),
        accepted_at: Timestamp::UNIX_EPOCH,
        settings: None,
    }
}

fn event() -> impl Strategy<Value = Event> {
    let failure = || Failure::passing("x", "x");
    prop_oneof![
        6 => Just(Event::Done),
        6 => Just(Event::LaidOut(tree("r1-2.0.0", 2))),
        6 => Just(Event::Activated(Baseline::default())),
        2 => Just(Event::Failed(failure())),
        2 => Just(Event::Verdict(Verdict::Healthy)),
        2 => Just(Event::Verdict(Verdict::Unhealthy(failure()))),
        2 => Just(Event::Verdict(Verdict::Inconclusive("?".to_owned()))),
        1 => Just(Event::Booted(Found::Old)),
        1 => Just(Event::Booted(Found::New)),
        1 => Just(Event::Booted(Found::Neither)),
    ]
}

fn kind() -> impl Strategy<Value = ChangeKind> {
    prop_oneof![
        Just(ChangeKind::Update),
        Just(ChangeKind::Rollback),
        Just(ChangeKind::Reinstall),
        Just(ChangeKind::Config)
    ]
}

fn touches(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Activate { .. } | Stage::Trial { .. } | Stage::Revert { .. }
    )
}

proptest! {
    #[test]
    fn whatever_happens_a_change_keeps_its_promises(
        kind in kind(),
        needs_snapshot: bool,
        events in prop::collection::vec(event(), 1..60),
    ) {
        let change = change(kind, needs_snapshot);
        let mut stage = Stage::Fetch;
        let mut past = vec![stage.name()];
        for event in events {
            let was = stage.clone();
            match next(&change, &stage, event.clone()) {
                // A refused event leaves everything as it was.
                Err(_) => {}
                Ok(Next::Stage(next)) => {
                    // Only preflight (and the snapshot, where one is needed) opens the way to the plugin.
                    if touches(&next) && !touches(&was) {
                        prop_assert_eq!(past.contains(&"snapshot"), needs_snapshot);
                        prop_assert!(past.contains(&"preflight"));
                        prop_assert_eq!(next.name(), "activate");
                    }
                    // Once the plugin may be touched there is no way back to the preparing stages.
                    prop_assert!(touches(&next) || !touches(&was));
                    // Who is on the way back stays on it.
                    prop_assert!(was.name() != "revert" || next.name() == "revert");
                    stage = next;
                    past.push(stage.name());
                }
                Ok(Next::End(Ending::Committed { healthy, .. })) => {
                    let on_trial = matches!(was, Stage::Trial { .. });
                    prop_assert!(on_trial);
                    prop_assert!(healthy != Some(false) || kind == ChangeKind::Rollback);
                    return Ok(());
                }
                Ok(Next::End(Ending::Reverted(_))) => {
                    let on_the_way_back = matches!(was, Stage::Revert { .. });
                    prop_assert!(on_the_way_back);
                    return Ok(());
                }
                Ok(Next::End(Ending::Abandoned(_))) => {
                    prop_assert!(!touches(&was) || event == Event::Booted(Found::Old));
                    return Ok(());
                }
            }
        }
    }
}

#[test]
fn a_stranger_at_the_plugins_path_stops_everything() {
    let change = change(ChangeKind::Update, false);
    let stage = Stage::Activate {
        to: tree("r1-2.0.0", 2),
    };
    assert_eq!(
        next(&change, &stage, Event::Booted(Found::Neither)),
        Err(Stuck::Stranger)
    );
}

#[test]
fn an_unhealthy_rollback_stays_and_says_so() {
    let change = change(ChangeKind::Rollback, false);
    let stage = Stage::Trial {
        to: tree("r1-2.0.0", 2),
        before: Baseline::default(),
    };
    let verdict = Event::Verdict(Verdict::Unhealthy(Failure::passing("errors", "too many errors")));
    assert_eq!(
        next(&change, &stage, verdict),
        Ok(Next::End(Ending::Committed {
            healthy: Some(false),
            words: "too many errors".to_owned()
        }))
    );
}
