//! From a sick heartbeat to a proven cure, and the unhappy ways.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::json;
use support::{
    case::Case,
    healing::{FAILS, attempt, beat, incident, sick},
};

#[tokio::test]
async fn the_worked_example_heals_by_itself() {
    let mut case = Case::begin().await;
    case.beat(json!({})).await;
    case.turn().await;
    assert_eq!(case.count("plugin_incidents").await, 0);
    let order = case.ordered().await;
    assert_eq!(
        incident(&case.plane, "incident_type || ' ' || severity || ' ' || status").await,
        "webhook_fail_rate medium in_progress"
    );
    assert_eq!(
        (&order["type"], &order["payload"]["version"]),
        (&json!("update"), &json!("1.2.3"))
    );
    assert_eq!(attempt(&case.plane, "staging_result ->> 'passed'").await, "true");
    case.committed(&order).await;
    case.turn().await;
    // The plugin's own telemetry has not confirmed it yet.
    assert_eq!(attempt(&case.plane, "status").await, "applying");
    case.beat(json!({ "plugin_version": "1.2.3" })).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "success");
    assert_eq!(
        attempt(&case.plane, "production_result ->> 'health_check_passed'").await,
        "true"
    );
    assert!(matches!(
        incident(&case.plane, "status").await.as_str(),
        "mitigated" | "closed"
    ));
    assert_eq!(case.events().await, "plugin.incident_created plugin.autopatch_success");
    for action in [
        "incident_opened",
        "attempt_created",
        "attempt_staging",
        "attempt_applying",
        "attempt_success",
        "incident_mitigated",
    ] {
        assert_eq!(
            case.count(&format!("plugin_audit WHERE action = '{action}'")).await,
            1,
            "{action}"
        );
    }
    // And when the detectors agree that it is over, it is over.
    for _ in 0..20 {
        case.beat(json!({ "plugin_version": "1.2.3" })).await;
        case.turn().await;
    }
    assert_eq!(
        incident(&case.plane, "status || ' ' || resolution").await,
        "closed cured"
    );
    assert_eq!(
        (
            case.loops.decider.asked(),
            case.count("plugin_autopatch_attempts").await
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn what_heals_by_itself_is_closed_and_more_of_the_same_opens_nothing() {
    let mut case = Case::begin().await;
    case.plane
        .database
        .run("UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
        .await;
    for _ in 0..3 {
        case.beat(sick()).await;
        case.turn().await;
    }
    assert_eq!(case.count("plugin_incidents").await, 1);
    assert_eq!(
        (incident(&case.plane, "status").await, case.loops.decider.asked()),
        ("open".to_owned(), 0)
    );
    for _ in 0..20 {
        case.beat(json!({})).await;
        case.turn().await;
    }
    assert_eq!(
        incident(&case.plane, "status || ' ' || resolution").await,
        "closed recovered"
    );
}

#[tokio::test]
async fn a_release_that_fails_in_the_sandbox_is_not_tried_on_the_shop() {
    let mut case = Case::begin().await;
    case.loops.runner.say(FAILS);
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "failed staging_failed"
    );
    assert_eq!(case.count("plugin_agent_commands").await, 0);
    assert_eq!(
        case.count("release_quarantines WHERE version = '1.2.3' AND plugin_id IS NOT NULL")
            .await,
        1
    );
    // The decider names it again: people are called, nothing is installed.
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    assert!(
        incident(&case.plane, "escalation_reason")
            .await
            .starts_with("release_quarantined")
    );
    assert_eq!(
        case.events().await,
        "plugin.incident_created plugin.autopatch_failed plugin.incident_requires_approval"
    );
}

#[tokio::test]
async fn a_sandbox_without_room_is_asked_again() {
    let mut case = Case::begin().await;
    case.loops.runner.say("");
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status || staging_tries").await, "staging1");
    case.plane.advance(10);
    case.loops.runner.say(support::healing::PASSES);
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "applying");
}

#[tokio::test]
async fn room_in_the_sandbox_is_waited_for_for_hours() {
    let mut case = Case::begin().await;
    case.loops.runner.say("");
    case.beat(sick()).await;
    for _ in 0..12 {
        case.turn().await;
        case.plane.advance(600);
    }
    assert_eq!(attempt(&case.plane, "status").await, "staging");
    case.loops.runner.say(support::healing::PASSES);
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "applying");
}

#[tokio::test]
async fn a_crowd_waits_for_room_in_the_sandbox_and_is_not_given_up_for_it() {
    let mut case = Case::begin().await;
    case.loops.runner.say(support::healing::HANGS);
    case.beat(sick()).await;
    for _ in 1..12 {
        let other = case.plane.agent_plugin().await;
        let gateway = case.plane.gateway(&other);
        beat(&gateway, &case.plane, &other, 1, sick()).await.expect(200);
    }
    case.turn().await;
    assert_eq!(
        case.count("plugin_autopatch_attempts WHERE status = 'staging'").await,
        12
    );
    // Eight are tried out, within the time that a run may take; the others have used up nothing of theirs.
    let later = case.plane.now() + jiff::SignedDuration::from_hours(1);
    let waiting = format!("plugin_autopatch_attempts WHERE deadline_at > '{later}'");
    assert_eq!(case.count(&waiting).await, 4);
    case.plane.advance(20);
    case.turn().await;
    assert_eq!(
        case.count("plugin_autopatch_attempts WHERE status = 'staging'").await,
        12
    );
}

#[tokio::test]
async fn a_sandbox_that_hangs_holds_up_no_other_work() {
    let mut case = Case::begin().await;
    case.loops.runner.say(support::healing::HANGS);
    case.beat(sick()).await;
    // Whoever waited for its answer would wait for five minutes.
    let turned = tokio::time::timeout(std::time::Duration::from_mins(1), case.turn()).await;
    assert!(turned.is_ok());
    assert_eq!(attempt(&case.plane, "status").await, "staging");
    case.plane
        .database
        .run("UPDATE plugin_autopatch_attempts SET status = 'cancelled'")
        .await;
    case.turn().await;
    assert_eq!(incident(&case.plane, "status").await, "escalated");
}

#[tokio::test]
async fn a_sandbox_that_is_gone_for_long_is_said_to_people() {
    let mut case = Case::begin().await;
    case.loops.runner.say(support::healing::BROKEN);
    case.beat(sick()).await;
    for _ in 0..20 {
        case.turn().await;
        case.plane.advance(60);
    }
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "failed took_too_long"
    );
    assert_eq!(incident(&case.plane, "status").await, "escalated");
}

#[tokio::test]
async fn what_the_agent_took_back_is_rolled_back_and_kept_from_the_fleet_after_three() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    let result = json!({ "status": "reverted", "version": "1.2.2", "health_check_passed": false,
        "error_rate_before": 0.1, "error_rate_after": 0.9 });
    let fail = json!({ "error": "probe_failed: 3 rounds", "retryable": false, "result": result });
    case.say(&order, "fail", fail).await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || rollback_reason").await,
        "rolled_back probe_failed: 3 rounds"
    );
    assert_eq!(
        attempt(&case.plane, "production_result ->> 'error_rate_after'").await,
        "0.9"
    );
    assert_eq!(
        case.events().await,
        "plugin.incident_created plugin.autopatch_rolled_back plugin.incident_requires_approval"
    );
    for _ in 0..2 {
        let other = case.plane.agent_plugin().await;
        let here = format!(
            "INSERT INTO release_quarantines (product, version, release_digest, plugin_id, reason)
             SELECT product, version, release_digest, '{}', reason FROM release_quarantines LIMIT 1",
            other.id
        );
        case.plane.database.run(&here).await;
    }
    let third = case.plane.agent_plugin().await;
    let gateway = case.plane.gateway(&third);
    beat(&gateway, &case.plane, &third, 1, sick()).await.expect(200);
    case.loops.runner.say(FAILS);
    case.turn().await;
    assert_eq!(case.count("release_quarantines WHERE plugin_id IS NULL").await, 1);
    assert_eq!(
        case.count("outbox_events WHERE kind = 'fleet.release_quarantined'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_change_that_makes_it_worse_by_the_plugins_own_telemetry_is_taken_back() {
    let mut case = Case::begin().await;
    case.beat(json!({})).await;
    let mut sick_windows = sick();
    let window = |case: &Case, seq: u64, errors: u64| {
        let to = case.plane.now() + jiff::SignedDuration::from_secs(120);
        json!([{ "seq": seq, "from": to - jiff::SignedDuration::from_secs(100), "to": to, "requests": 200,
            "errors": errors, "webhook_total": 0, "webhook_failed": 0 }])
    };
    sick_windows["windows"] = window(&case, 1, 0);
    case.beat(sick_windows).await;
    let update = json!({ "action": "patch", "version": "1.2.3" });
    if case.count("plugin_incidents").await == 0 {
        case.beat(sick()).await;
    }
    case.turn().await;
    if attempt(&case.plane, "status").await != "applying" {
        let id = incident(&case.plane, "id").await;
        let path = format!("/api/ops/plugin-incidents/{id}/manual-action");
        case.plane.ops("POST", &path, update).await.expect(200);
        case.turn().await;
    }
    let order = case.order().await;
    case.committed(&order).await;
    case.turn().await;
    let windows = window(&case, 2, 150);
    case.beat(json!({ "plugin_version": "1.2.3", "windows": windows }))
        .await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "rolled_back worse"
    );
    let back = case.order().await;
    assert_eq!(back["type"], "rollback");
}
