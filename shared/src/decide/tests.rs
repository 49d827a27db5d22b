//! What the built-in model decides, and why.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Makes a cure impossible.
type Spoil = fn(&mut Question);

fn release(version: &str, fixes: &[&str]) -> KnownRelease {
    serde_json::from_value(json!({
        "version": version, "digest": crate::ids::Digest::of(version.as_bytes()), "standing": "offered",
        "impact": "medium", "fixes": fixes,
    }))
    .unwrap()
}

fn question(incident_type: &str) -> Question {
    serde_json::from_value(json!({
        "merchant_id": "0198c0de-0000-7000-8000-000000000001",
        "plugin_id": "0198c0de-0000-7000-8000-000000000002",
        "telemetry": { "errors_last_24h": 50, "webhook_fail_rate": 0.6 },
        "severity": "medium",
        "incident_type": incident_type,
        "current_version": "1.2.2",
        "historical_data": {
            "asked_at": "2026-11-22T12:00:00Z",
            "detected_at": "2026-11-22T11:59:00Z",
            "confidence_real": 0.95,
            "product": "molam-pay-node",
            "platform": "node",
            "environment": { "node": "22.1" },
            "capabilities": ["update", "rollback", "config_update"],
        },
    }))
    .unwrap()
}

fn with_releases(incident_type: &str) -> Question {
    let mut question = question(incident_type);
    question.historical_data.releases = vec![
        release("1.2.1", &[]),
        release("1.2.2", &[]),
        release("1.2.3", &["webhook_fail_rate"]),
        release("1.3.0", &[]),
    ];
    question
}

fn changed(question: &mut Question, minutes_before: i64) {
    let at = question.historical_data.detected_at - jiff::SignedDuration::from_mins(minutes_before);
    let (from, to) = ("1.2.1".to_owned(), "1.2.2".to_owned());
    question.historical_data.version_changes = vec![VersionChange { at, from, to }];
}

fn tally(arm: Arm, incident_type: &str, from: &str, to: &str, successes: f64, failures: f64) -> Tally {
    Tally {
        arm,
        incident_type: incident_type.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        successes,
        failures,
    }
}

#[test]
fn the_worked_example_is_patched() {
    let decision = decide(&with_releases("webhook_fail_rate")).unwrap();
    assert_eq!((decision.action, decision.method), (Action::Patch, Some(Method::Patch)));
    assert_eq!(decision.patch_version, Some("1.2.3".parse().unwrap()));
    assert!((0.75..0.95).contains(&decision.confidence), "{}", decision.confidence);
    assert_eq!(decision.confidence_real, Some(0.95));
    for words in ["1.2.2 to 1.2.3", "webhook_fail_rate", "86 % sure", "95 %"] {
        assert!(decision.explanation.contains(words), "{}", decision.explanation);
    }
}

#[test]
fn a_release_that_can_not_or_may_not_run_here_is_no_cure() {
    let refused: [(&str, Spoil); 6] = [
        ("revoked", |q| {
            q.historical_data.releases[2].standing = Standing::Revoked;
        }),
        ("quarantined", |q| {
            q.historical_data.releases[2].standing = Standing::Quarantined;
        }),
        ("needs node >=24", |q| {
            let env = [("node".to_owned(), ">=24".parse().unwrap())];
            q.historical_data.releases[2].compat.env = env.into();
        }),
        ("it can follow <1.2.0", |q| {
            q.historical_data.releases[2].compat.from = Some("<1.2.0".parse().unwrap());
        }),
        ("tried here and was taken back", |q| {
            q.historical_data.attempts.push(PastAttempt {
                method: Method::Patch,
                from: "1.2.2".to_owned(),
                to: Some("1.2.3".to_owned()),
                remedy: None,
                outcome: PastOutcome::RolledBack,
                at: q.historical_data.detected_at,
            });
        }),
        ("does worse than its siblings", |q| {
            q.historical_data.fleet.push(FleetFinding {
                version: "1.2.3".to_owned(),
                platform: Some("node".to_owned()),
                confidence: 0.9,
                since: q.historical_data.detected_at,
            });
        }),
    ];
    for (words, spoil) in refused {
        let mut question = with_releases("webhook_fail_rate");
        spoil(&mut question);
        let decision = decide(&question).unwrap();
        assert_eq!(decision.action, Action::NotifyOps, "{words}");
        assert!(decision.explanation.contains(words), "{}", decision.explanation);
    }
}

#[test]
fn trouble_right_after_a_change_leads_back_and_long_after_it_does_not() {
    let mut question = with_releases("error_spike");
    changed(&mut question, 10);
    let back = decide(&question).unwrap();
    assert_eq!((back.action, back.method), (Action::Rollback, Some(Method::Rollback)));
    assert_eq!(back.patch_version, Some("1.2.1".parse().unwrap()));
    assert!(
        back.explanation.contains("10 minutes after 1.2.1 became 1.2.2"),
        "{}",
        back.explanation
    );
    changed(&mut question, 3 * 24 * 60);
    assert_eq!(decide(&question).unwrap().action, Action::NotifyOps);
    changed(&mut question, 10);
    question.historical_data.began_at =
        Some(question.historical_data.detected_at - jiff::SignedDuration::from_hours(5));
    assert_eq!(
        decide(&question).unwrap().action,
        Action::NotifyOps,
        "it began before the change"
    );
}

#[test]
fn others_with_the_version_speak_for_it_or_against_it() {
    let mut question = with_releases("error_spike");
    changed(&mut question, 6 * 60);
    assert_eq!(decide(&question).unwrap().action, Action::NotifyOps);
    let ill = Peers {
        same_version: 40,
        same_version_ill: 12,
        other_versions: 200,
        other_versions_ill: 1,
    };
    question.historical_data.peers = Some(ill);
    assert_eq!(decide(&question).unwrap().action, Action::Rollback);
    let everywhere = Peers {
        other_versions_ill: 60,
        ..ill
    };
    question.historical_data.peers = Some(everywhere);
    assert_eq!(
        decide(&question).unwrap().action,
        Action::NotifyOps,
        "an outage of something else"
    );
}

#[test]
fn a_bad_release_across_the_fleet_is_left_even_long_after_its_installation() {
    let mut question = with_releases("error_spike");
    changed(&mut question, 30 * 24 * 60);
    question.historical_data.fleet.push(FleetFinding {
        version: "1.2.2".to_owned(),
        platform: Some("node".to_owned()),
        confidence: 0.95,
        since: question.historical_data.detected_at,
    });
    assert_eq!(decide(&question).unwrap().action, Action::Rollback);
    question.historical_data.fleet[0].platform = Some("php".to_owned());
    assert_eq!(
        decide(&question).unwrap().action,
        Action::NotifyOps,
        "on another platform only"
    );
}

#[test]
fn there_is_no_way_back_over_changed_data_or_to_what_is_revoked() {
    for spoil in [
        (|q: &mut Question| q.historical_data.releases[1].undo = crate::bundle::manifest::Undo::NeedsSnapshot) as Spoil,
        |q| q.historical_data.releases[0].standing = Standing::Revoked,
    ] {
        let mut question = with_releases("error_spike");
        changed(&mut question, 10);
        spoil(&mut question);
        assert_eq!(decide(&question).unwrap().action, Action::NotifyOps);
    }
    let mut adopted = with_releases("error_spike");
    changed(&mut adopted, 10);
    adopted.historical_data.version_changes[0].from = "0.9-custom".to_owned();
    let back = decide(&adopted).unwrap();
    assert_eq!(
        (back.action, back.patch_version),
        (Action::Rollback, None),
        "the one before, whatever it is"
    );
}

#[test]
fn there_is_no_way_back_to_what_was_ill_when_a_cure_left_it() {
    let mut question = question("webhook_fail_rate");
    changed(&mut question, 30);
    assert_eq!(decide(&question).unwrap().action, Action::Rollback);
    let cure =
        json!({"method": "patch", "from": "1.2.1", "to": "1.2.2", "outcome": "success", "at": "2026-11-22T11:30:00Z"});
    question.historical_data.attempts = vec![serde_json::from_value(cure).unwrap()];
    assert_eq!(decide(&question).unwrap().action, Action::NotifyOps);
}

#[test]
fn a_tampered_tree_is_restored_from_the_same_release() {
    let decision = decide(&with_releases("signature_invalid")).unwrap();
    assert_eq!(
        (decision.action, decision.method),
        (Action::Patch, Some(Method::Reinstall))
    );
    assert_eq!(decision.patch_version, Some("1.2.2".parse().unwrap()));
}

#[test]
fn a_drifted_setting_is_put_back_to_what_it_was_set_to() {
    let mut question = with_releases("config_drift");
    let settings = json!({ "timeout_ms": 3000 }).as_object().cloned().unwrap();
    let remedy = Remedy {
        id: Remedy::name_of(&settings),
        source: RemedySource::Managed,
        settings: settings.clone(),
    };
    question.historical_data.remedies = vec![remedy];
    let decision = decide(&question).unwrap();
    assert_eq!((decision.action, decision.config), (Action::ConfigFix, Some(settings)));
    question.incident_type = crate::detect::IncidentType::ErrorSpike;
    assert_eq!(
        decide(&question).unwrap().action,
        Action::NotifyOps,
        "it cures a drift only"
    );
}

#[test]
fn a_version_that_does_not_fit_gives_way_to_one_that_does() {
    let mut question = with_releases("version_incompatibility");
    let needs = |text: &str| [("node".to_owned(), text.parse().unwrap())].into();
    for older in &mut question.historical_data.releases[1..=2] {
        older.compat.env = needs("<22");
    }
    question.historical_data.releases[3].compat.env = needs(">=22");
    let decision = decide(&question).unwrap();
    assert_eq!(
        decision.patch_version,
        Some("1.3.0".parse().unwrap()),
        "{}",
        decision.explanation
    );
}

#[test]
fn what_is_not_heard_gets_no_order_and_what_can_not_update_gets_no_patch() {
    assert_eq!(
        decide(&with_releases("heartbeat_missed")).unwrap().action,
        Action::NotifyOps
    );
    let mut agentless = with_releases("webhook_fail_rate");
    agentless.historical_data.capabilities.clear();
    assert_eq!(decide(&agentless).unwrap().action, Action::NotifyOps);
    let mut unknown = with_releases("webhook_fail_rate");
    unknown.current_version = "unknown".to_owned();
    assert_eq!(decide(&unknown).unwrap().action, Action::NotifyOps);
}

#[test]
fn what_is_hardly_real_is_left_alone() {
    let mut question = with_releases("error_spike");
    question.historical_data.confidence_real = Some(0.05);
    let decision = decide(&question).unwrap();
    assert_eq!((decision.action, decision.method), (Action::NoAction, None));
}

#[test]
fn experience_turns_it_away_from_what_fails_and_to_what_people_found() {
    let mut question = with_releases("webhook_fail_rate");
    let declared = |s, f| tally(Arm::PatchDeclared, "webhook_fail_rate", "1.2.2", "1.2.3", s, f);
    question.historical_data.experience.tallies = vec![declared(0.0, 4.0)];
    assert_eq!(decide(&question).unwrap().action, Action::NotifyOps);
    question.historical_data.experience.tallies.extend([
        tally(Arm::PatchOther, "", "", "", 9.0, 0.0),
        tally(Arm::PatchOther, "webhook_fail_rate", "", "", 9.0, 0.0),
        tally(Arm::PatchOther, "webhook_fail_rate", "1.2.2", "1.3.0", 9.0, 0.0),
    ]);
    let decision = decide(&question).unwrap();
    assert_eq!(decision.patch_version, Some("1.3.0".parse().unwrap()));
    assert!(
        decision.explanation.contains("9 times out of 9"),
        "{}",
        decision.explanation
    );
}

#[test]
fn staging_and_canaries_seed_what_is_believed() {
    let believed = |seed: Seed| {
        let experience = Experience {
            seeds: vec![seed],
            ..Experience::default()
        };
        believe(&experience, Arm::PatchDeclared, "error_spike", "1.2.2", "1.2.3").mean
    };
    let version = "1.2.3".to_owned();
    let fresh = Seed {
        version: version.clone(),
        ..Seed::default()
    };
    let good = Seed {
        staging_passed: 2,
        kept: 5,
        ..fresh.clone()
    };
    let bad = Seed {
        staging_failed: 1,
        reverted: 2,
        ..fresh.clone()
    };
    assert!(believed(bad) < believed(fresh.clone()) && believed(fresh) < believed(good));
}

#[test]
fn a_demoted_model_and_a_question_out_of_bounds_get_no_answer() {
    let mut question = with_releases("webhook_fail_rate");
    question.historical_data.experience.demoted = true;
    assert_eq!(decide(&question), Err(Unable::Demoted));
    let mut long = with_releases("webhook_fail_rate");
    long.historical_data.releases = vec![release("1.2.3", &[]); MAX_RELEASES + 1];
    assert_eq!(decide(&long), Err(Unable::TooMany("releases")));
}

#[test]
fn the_documented_rules() {
    let told = |rate: f64, errors: u64| {
        let mut question = question("error_spike");
        question.telemetry.insert("webhook_fail_rate".to_owned(), json!(rate));
        question.telemetry.insert("errors_last_24h".to_owned(), json!(errors));
        let decision = fall_back(&question);
        (decision.action, decision.confidence)
    };
    assert_eq!(told(0.51, 500), (Action::ConfigFix, 0.6));
    assert_eq!(told(0.5, 51), (Action::NotifyOps, 0.5));
    assert_eq!(told(0.5, 50), (Action::NotifyOps, 0.3));
}

proptest! {
    #[test]
    fn a_stored_question_is_decided_the_same_again(
        real in 0.0..=1.0f64, minutes in 0..5000i64, confidence in 0.0..=1.0f64,
        peers in proptest::array::uniform4(0..3000u32), counts in proptest::array::uniform4(0..500u32),
        kind in 0..7usize,
    ) {
        let mut question = with_releases(crate::detect::IncidentType::ALL[kind].as_str());
        changed(&mut question, minutes);
        let history = &mut question.historical_data;
        history.confidence_real = Some(round(real));
        history.fleet.push(FleetFinding {
            version: "1.2.2".to_owned(), platform: None, confidence: round(confidence), since: history.detected_at,
        });
        history.peers = Some(Peers {
            same_version: peers[0], same_version_ill: peers[1], other_versions: peers[2], other_versions_ill: peers[3],
        });
        let n = counts.map(f64::from);
        history.experience.tallies = vec![
            tally(Arm::PatchDeclared, "", "", "", n[0], n[1]),
            tally(Arm::Rollback, "error_spike", "1.2.2", "1.2.1", n[2], n[3]),
        ];
        let decided = decide(&question).unwrap();
        let again: Question = serde_json::from_value(serde_json::from_str(
            &serde_json::to_string(&question).unwrap()).unwrap()).unwrap();
        prop_assert_eq!(&again, &question);
        prop_assert_eq!(decide(&again).unwrap(), decided.clone());
        prop_assert!((0.0..=1.0).contains(&decided.confidence));
        prop_assert!(decided.explanation.len() <= 2000);
        prop_assert_eq!(decided.method.is_none(), matches!(decided.action, Action::NotifyOps | Action::NoAction));
        let stored: Decision = serde_json::from_str(&serde_json::to_string(&decided).unwrap()).unwrap();
        prop_assert_eq!(stored, decided);
    }
}
