//! Whose fault it is that a cure did not come to stay, and what follows for the release.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::domain::decision::Action;
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
