//! Whose fault it is that a cure did not come to stay, and what follows for the release.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::{
    domain::decision::{Action, Decision},
    jobs::{Learning, Reconciler as _},
    service::decide::question,
};
use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{FAILS, attempt, beat, incident, patch, sick},
};

/// What the agent says of a change that it took back.
fn taken_back(error: &str) -> Value {
    let result = json!({ "status": "reverted", "version": "1.2.2", "health_check_passed": false });
    json!({ "error": error, "retryable": false, "result": result })
}

/// What an agent says of a change that it left in force.
fn kept(version: &str, healthy: bool) -> Value {
    json!({ "result": { "status": "committed", "version": version, "health_check_passed": healthy } })
}

/// The window of the next heartbeat: so many of 200 requests failed.
fn window(case: &Case, seq: u64, errors: u64) -> Value {
    let to = case.plane.now() + jiff::SignedDuration::from_secs(120);
    json!([{ "seq": seq, "from": to - jiff::SignedDuration::from_secs(100), "to": to, "requests": 200,
        "errors": errors, "webhook_total": 0, "webhook_failed": 0 }])
}

#[tokio::test]
async fn a_hosts_own_trouble_is_said_to_people_and_does_not_speak_against_the_release_elsewhere() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    case.say(&order, "fail", taken_back("hook_failed: the reload hook is not there"))
        .await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "rolled_back hosts_trouble"
    );
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    assert_eq!(case.count("release_quarantines WHERE NOT counts").await, 1);
    // Two more such hosts, and then one on which it is the release's own fault: that is the first that counts.
    for _ in 0..2 {
        let other = case.plane.agent_plugin().await;
        let here = format!(
            "INSERT INTO release_quarantines (product, version, release_digest, plugin_id, reason, counts)
             SELECT product, version, release_digest, '{}', reason, counts FROM release_quarantines LIMIT 1",
            other.id
        );
        case.plane.database.run(&here).await;
    }
    let last = case.plane.agent_plugin().await;
    let gateway = case.plane.gateway(&last);
    beat(&gateway, &case.plane, &last, 1, sick()).await.expect(200);
    case.loops.runner.say(FAILS);
    case.turn().await;
    assert_eq!(case.count("release_quarantines WHERE counts").await, 1);
    assert_eq!(case.count("release_quarantines WHERE plugin_id IS NULL").await, 0);
}

#[tokio::test]
async fn what_a_person_asked_back_is_theirs_and_no_release_is_kept_from_anybody() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    case.say(&order, "fail", taken_back("asked_to_go_back: by an order"))
        .await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "rolled_back asked_to_go_back"
    );
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    assert_eq!(case.count("release_quarantines").await, 0);
    case.plane.advance(7200);
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(
        case.count("plugin_autopatch_attempts").await,
        1,
        "nothing is begun over their heads"
    );
}

#[tokio::test]
async fn a_patch_that_the_plugin_itself_calls_unhealthy_goes_back() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    case.say(&order, "ack", kept("1.2.3", false)).await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "rolled_back unhealthy"
    );
    assert_eq!(case.order().await["type"], "rollback");
    assert!(!case.events().await.contains("autopatch_success"));
}

#[tokio::test]
async fn a_way_back_that_is_unhealthy_too_is_a_matter_for_people() {
    let mut case = Case::begin().await;
    let mut decision = patch("1.2.3");
    (decision.action, decision.patch_version) = (Action::Rollback, None);
    case.loops.decider.say(decision);
    let order = case.ordered().await;
    assert_eq!(order["type"], "rollback");
    case.say(&order, "ack", kept("1.2.1", false)).await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "failed unhealthy_kept"
    );
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    assert_eq!(case.order().await, Value::Null, "there is nothing further back");
}

#[tokio::test]
async fn a_way_back_that_is_found_worse_is_a_matter_for_people_and_orders_nothing_more() {
    let mut case = Case::begin().await;
    let mut decision = patch("1.2.3");
    (decision.action, decision.patch_version) = (Action::Rollback, None);
    case.loops.decider.say(decision);
    case.beat(json!({ "windows": window(&case, 1, 0) })).await;
    let order = case.ordered().await;
    case.say(&order, "ack", kept("1.2.1", true)).await;
    case.turn().await;
    let windows = window(&case, 2, 150);
    case.beat(json!({ "plugin_version": "1.2.1", "windows": windows }))
        .await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "failed not_undone"
    );
    let why = incident(&case.plane, "status || ' ' || escalation_reason").await;
    assert!(
        why.starts_with("escalated") && why.contains("a way back itself"),
        "{why}"
    );
    assert_eq!(case.order().await, Value::Null, "the agent would refuse it");
}

/// From a reinstallation that a person ordered to its order.
async fn reinstalled(case: &mut Case) -> Value {
    case.loops.decider.say(Decision {
        action: Action::NotifyOps,
        patch_version: None,
        ..patch("1.2.3")
    });
    case.beat(sick()).await;
    case.turn().await;
    let path = format!(
        "/api/ops/plugin-incidents/{}/manual-action",
        incident(&case.plane, "id").await
    );
    let action = json!({ "action": "reinstall", "version": "1.2.2", "reason": "to be sure" });
    case.plane.ops("POST", &path, action).await.expect(200);
    case.turn().await;
    case.order().await
}

#[tokio::test]
async fn a_reinstallation_that_is_found_worse_does_not_take_the_shop_to_the_release_before() {
    let mut case = Case::begin().await;
    case.beat(json!({ "windows": window(&case, 1, 0) })).await;
    let order = reinstalled(&mut case).await;
    assert_eq!(attempt(&case.plane, "method").await, "reinstall");
    case.say(&order, "ack", kept("1.2.2", true)).await;
    case.turn().await;
    case.beat(json!({ "windows": window(&case, 2, 150) })).await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "failed not_undone"
    );
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    assert_eq!(case.order().await, Value::Null);
    assert_eq!(case.count("release_quarantines").await, 0);
}

#[tokio::test]
async fn an_order_that_never_reached_the_plugin_says_nothing_of_the_cure() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    let fail = json!({ "error": "disk_full: 3 MiB are missing", "retryable": false });
    case.say(&order, "fail", fail).await;
    case.turn().await;
    assert_eq!(
        case.count("plugin_autopatch_attempts WHERE end_reason = 'not_done' AND executed_at IS NOT NULL")
            .await,
        1
    );
    Learning::new(case.plane.state.db.clone())
        .activate(case.plane.now())
        .await
        .unwrap();
    let learned = "SELECT string_agg(feedback_label, ' ') FROM sira_learning_feedback";
    assert_eq!(case.plane.database.text(learned).await.as_deref(), Some("neutral"));
    // Whoever decides next is not told that it was tried here in vain.
    let id = incident(&case.plane, "id").await.parse().unwrap();
    let mut tx = case.plane.state.db.begin().await.unwrap();
    let asked = question(&mut tx, id, case.plane.now()).await.unwrap();
    assert!(asked.historical_data.attempts.is_empty());
}

#[tokio::test]
async fn a_cure_that_cures_nothing_is_not_called_one() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    case.committed(&order).await;
    case.turn().await;
    let mut ill = sick();
    ill["plugin_version"] = json!("1.2.3");
    case.beat(ill.clone()).await;
    case.turn().await;
    assert_eq!(incident(&case.plane, "status").await, "mitigated");
    // The detector never let go: this is the illness of before.
    for _ in 0..62 {
        case.beat(ill.clone()).await;
        case.turn().await;
    }
    assert!(
        incident(&case.plane, "status || ' ' || coalesce(escalation_reason, '')")
            .await
            .starts_with("escalated not_cured")
    );
    assert_eq!(case.count("plugin_incidents").await, 1);
}
