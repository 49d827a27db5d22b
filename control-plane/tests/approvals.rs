//! Approvals of cures: who is asked, who counts, and what their words come to.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    approvals::{ADA, BOB, EVE, newest, say},
    case::Case,
    healing::{attempt, incident, patch, sick},
};

/// A cure by another major version that waits for two people; where they answer.
async fn major() -> (Case, String) {
    let mut case = Case::begin().await;
    case.plane.release("2.0.0").await;
    case.loops.decider.say(patch("2.0.0"));
    case.beat(sick()).await;
    case.turn().await;
    let path = newest(&case.plane).await;
    (case, path)
}

#[tokio::test]
async fn two_people_of_two_roles_let_a_major_release_pass() {
    let (case, path) = major().await;
    let plane = &case.plane;
    let shown = plane.ops("GET", &path, Value::Null).await.expect(200);
    assert_eq!(
        (
            &shown["status"],
            &shown["to_version"],
            &shown["requested_by"],
            &shown["incident_type"]
        ),
        (
            &json!("pending"),
            &json!("2.0.0"),
            &json!("sira"),
            &json!("webhook_fail_rate")
        )
    );
    assert_eq!(
        shown["missing"],
        json!({ "people": 2, "one_of_each": ["pay_admin", "compliance_ops"], "signatures": 0 })
    );
    assert_eq!(shown["reasons"][0]["code"], "major_version");
    let approve = format!("{path}/approve");
    let other = json!({ "release_digest": "00".repeat(32) });
    say(plane, ADA, &approve, other).await.refuses(409, "content_changed");
    let exactly = json!({ "release_digest": shown["release_digest"], "content_digest": shown["content_digest"],
        "comment": "read the notes" });
    let first = say(plane, ADA, &approve, exactly).await.expect(200);
    assert_eq!(
        first["missing"],
        json!({ "people": 1, "one_of_each": ["compliance_ops"], "signatures": 0 })
    );
    say(plane, ADA, &approve, json!({}))
        .await
        .refuses(409, "already_approved");
    say(plane, EVE, &approve, json!({})).await.expect(200);
    case.turn().await;
    assert_eq!(
        attempt(plane, "status").await,
        "pending",
        "two of one role are not enough"
    );
    say(plane, BOB, &format!("{path}/comment"), json!({ "comment": "looking" }))
        .await
        .expect(200);
    let last = say(plane, BOB, &approve, json!({})).await.expect(200);
    assert_eq!(last["status"], "approved");
    let said: Vec<(&str, &str)> = last["votes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| (word["person"].as_str().unwrap(), word["says"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [("ada", "yes"), ("eve", "yes"), ("bob", "comment"), ("bob", "yes")]
    );
    case.turn().await;
    assert_eq!(attempt(plane, "status || ' ' || to_version").await, "applying 2.0.0");
    say(plane, ("joe", "pay_admin"), &approve, json!({}))
        .await
        .refuses(409, "already_decided");
    assert_eq!(case.count("plugin_audit WHERE action LIKE 'approval_%'").await, 5);
}

#[tokio::test]
async fn a_no_ends_it_and_the_incident_says_why() {
    let (case, path) = major().await;
    let plane = &case.plane;
    say(plane, ADA, &format!("{path}/approve"), json!({})).await.expect(200);
    say(plane, BOB, &format!("{path}/reject"), json!({ "comment": " " }))
        .await
        .refuses(400, "comment_required");
    let no = say(
        plane,
        BOB,
        &format!("{path}/reject"),
        json!({ "comment": "not before the sale" }),
    )
    .await
    .expect(200);
    assert_eq!(
        (&no["status"], &no["missing"]["people"]),
        (&json!("rejected"), &json!(0))
    );
    assert_eq!(
        attempt(plane, "status || ' ' || end_reason").await,
        "cancelled rejected_by_people"
    );
    let reason = incident(plane, "status || ' ' || escalation_reason").await;
    assert_eq!(
        reason,
        "escalated rejected_by_people: rejected by bob: not before the sale"
    );
    say(plane, EVE, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "already_decided");
    case.turn().await;
    assert_eq!(
        case.count("plugin_autopatch_attempts").await,
        1,
        "nothing else is begun by itself"
    );
}

#[tokio::test]
async fn what_would_be_done_otherwise_is_asked_anew() {
    let (case, path) = major().await;
    let plane = &case.plane;
    say(plane, ADA, &format!("{path}/approve"), json!({})).await.expect(200);
    plane
        .database
        .run("UPDATE plugin_autopatch_attempts SET method = 'hotfix', next_look_at = now() - interval '1 day'")
        .await;
    say(plane, BOB, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "content_changed");
    assert_eq!(plane.ops("GET", &path, Value::Null).await.expect(200)["status"], "void");
    plane.advance(1);
    case.turn().await;
    let anew = newest(plane).await;
    assert_ne!(anew, path);
    let shown = plane.ops("GET", &anew, Value::Null).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["action"], &shown["missing"]["people"]),
        (&json!("pending"), &json!("hotfix"), &json!(2))
    );
    say(plane, BOB, &format!("{anew}/approve"), json!({})).await.expect(200);
    case.turn().await;
    assert_eq!(
        attempt(plane, "status").await,
        "pending",
        "a yes to something else does not count"
    );
}

#[tokio::test]
async fn an_approval_has_an_end() {
    let (case, path) = major().await;
    let plane = &case.plane;
    plane.advance(24 * 3600 + 1);
    say(plane, ADA, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "approval_expired");
    case.turn().await;
    assert_eq!(
        plane.ops("GET", &path, Value::Null).await.expect(200)["status"],
        "expired"
    );
    assert_eq!(
        attempt(plane, "status || ' ' || end_reason").await,
        "cancelled not_approved"
    );
}

#[tokio::test]
async fn the_runbooks_stop_leaves_nothing_to_approve() {
    let (case, path) = major().await;
    let plane = &case.plane;
    plane
        .database
        .run("UPDATE plugin_autopatch_attempts SET status = 'cancelled' WHERE status IN ('pending','staging','applying')")
        .await;
    assert_eq!(plane.ops("GET", &path, Value::Null).await.expect(200)["status"], "void");
    say(plane, ADA, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "already_decided");
    assert_eq!(case.count("plugin_audit WHERE action = 'approval_void'").await, 1);
}

#[tokio::test]
async fn a_policy_that_asks_for_more_people_meanwhile_gets_them() {
    let (case, path) = major().await;
    let plane = &case.plane;
    for who in [ADA, BOB] {
        say(plane, who, &format!("{path}/approve"), json!({})).await.expect(200);
    }
    plane
        .database
        .run("UPDATE ops_policy SET multisig_quorum_count = 3 WHERE id = 1")
        .await;
    case.turn().await;
    let shown = plane.ops("GET", &path, Value::Null).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["missing"]["people"]),
        (&json!("pending"), &json!(1))
    );
    say(plane, EVE, &format!("{path}/approve"), json!({})).await.expect(200);
    case.turn().await;
    assert_eq!(attempt(plane, "status").await, "applying");
}

#[tokio::test]
async fn the_older_endpoint_gives_the_same_approval() {
    let (case, path) = major().await;
    let plane = &case.plane;
    let older = format!("/api/ops/plugin-incidents/{}/approve", incident(plane, "id").await);
    let first = say(plane, ADA, &older, json!({})).await.expect(200);
    assert_eq!(first["complete"], false);
    say(plane, ADA, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "already_approved");
    say(plane, BOB, &format!("{path}/approve"), json!({})).await.expect(200);
    assert_eq!(attempt(plane, "jsonb_array_length(approved_by)::text").await, "2");
    case.turn().await;
    assert_eq!(attempt(plane, "status").await, "applying");
}

#[tokio::test]
async fn nobody_approves_what_they_want_themselves() {
    let mut case = Case::begin().await;
    case.plane.release("2.0.0").await;
    case.loops.decider.say(patch("9.9.9"));
    case.beat(sick()).await;
    case.turn().await;
    let plane = &case.plane;
    let id = incident(plane, "id").await;
    let wanted = json!({ "action": "patch", "version": "2.0.0", "reason": "the vendor says so" });
    let done = plane
        .ops("POST", &format!("/api/ops/plugin-incidents/{id}/manual-action"), wanted)
        .await
        .expect(200);
    assert_eq!(done["requires_approval"], true);
    let path = newest(plane).await;
    say(plane, ADA, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "own_request");
    let older = format!("/api/ops/plugin-incidents/{id}/approve");
    say(plane, ADA, &older, json!({})).await.refuses(409, "own_request");
    for who in [EVE, BOB] {
        say(plane, who, &format!("{path}/approve"), json!({})).await.expect(200);
    }
    case.turn().await;
    assert_eq!(attempt(plane, "status || ' ' || executed_by").await, "applying ada");
}
