//! Approvals: who is asked, who counts, and what their words come to.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{attempt, incident, patch, sick},
    http::Answer,
    people,
    plane::Plane,
};

const LIST: &str = "/api/ops/approvals";
const ADA: (&str, &str) = ("ada", "pay_admin");
const BOB: (&str, &str) = ("bob", "compliance_ops");
const EVE: (&str, &str) = ("eve", "pay_admin");

async fn say(plane: &Plane, (who, role): (&str, &str), path: &str, body: Value) -> Answer {
    let token = people::sign(&people::claims(who, &[role], plane.now()));
    plane.api.send("POST", path, &token, body.to_string()).await
}

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

async fn newest(plane: &Plane) -> String {
    let list = plane.ops("GET", LIST, Value::Null).await.expect(200);
    format!("{LIST}/{}", list["approvals"][0]["id"].as_str().unwrap())
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

/// A plugin that runs 1.2.2 and an order of ada's to another major version; where it is answered.
async fn ordered() -> (Case, Value, String) {
    let mut case = Case::begin().await;
    case.plane.release("2.0.0").await;
    case.beat(json!({})).await;
    let path = format!("/api/ops/plugins/{}/commands", case.plugin.id);
    let order = json!({ "type": "update", "version": "2.0.0", "reason": "wanted" });
    let asked = case.plane.ops("POST", &path, order).await.expect(202);
    let approval = format!("{LIST}/{}", asked["approval_id"].as_str().unwrap());
    (case, asked, approval)
}

#[tokio::test]
async fn an_order_of_a_major_release_waits_for_others() {
    let (case, asked, path) = ordered().await;
    let plane = &case.plane;
    assert_eq!(asked["status"], "needs_approval");
    assert_eq!(case.order().await, Value::Null);
    say(plane, ADA, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "own_request");
    say(plane, EVE, &format!("{path}/approve"), json!({})).await.expect(200);
    assert_eq!(case.order().await, Value::Null);
    let done = say(plane, BOB, &format!("{path}/approve"), json!({})).await.expect(200);
    assert_eq!(
        (&done["status"], &done["command_id"]),
        (&json!("approved"), &asked["id"])
    );
    let order = case.order().await;
    assert_eq!(
        (
            &order["id"],
            &order["payload"]["version"],
            &order["payload"]["release_digest"]
        ),
        (&asked["id"], &json!("2.0.0"), &done["release_digest"])
    );
    let minor = json!({ "type": "update", "version": "1.2.3" });
    let commands = format!("/api/ops/plugins/{}/commands", case.plugin.id);
    plane.ops("POST", &commands, minor).await.expect(201);
}

#[tokio::test]
async fn an_order_that_somebody_says_no_to_is_never_given() {
    let (case, asked, path) = ordered().await;
    let plane = &case.plane;
    say(plane, EVE, &format!("{path}/approve"), json!({})).await.expect(200);
    say(
        plane,
        ADA,
        &format!("{path}/reject"),
        json!({ "comment": "I was wrong" }),
    )
    .await
    .expect(200);
    say(plane, BOB, &format!("{path}/approve"), json!({}))
        .await
        .refuses(409, "already_decided");
    assert_eq!(case.order().await, Value::Null);
    let command = format!("/api/ops/commands/{}", asked["id"].as_str().unwrap());
    plane
        .ops("GET", &command, Value::Null)
        .await
        .refuses(404, "unknown_command");
}

#[tokio::test]
async fn an_order_whose_release_is_blocked_meanwhile_is_void() {
    let (case, _, path) = ordered().await;
    let plane = &case.plane;
    say(plane, EVE, &format!("{path}/approve"), json!({})).await.expect(200);
    plane
        .ops(
            "POST",
            "/api/ops/releases/molam-pay-node/2.0.0/block",
            json!({ "reason": "a bug" }),
        )
        .await;
    let done = say(plane, BOB, &format!("{path}/approve"), json!({})).await.expect(200);
    assert_eq!(done["status"], "void");
    assert!(done["ended_why"].as_str().unwrap().contains("blocked"), "{done}");
    assert_eq!(case.order().await, Value::Null);
}

#[tokio::test]
async fn of_two_people_who_complete_an_order_at_once_it_is_given_once() {
    for _ in 0..5 {
        let (case, _, path) = ordered().await;
        let plane = &case.plane;
        let approve = format!("{path}/approve");
        let (eve, bob, twice) = tokio::join!(
            say(plane, EVE, &approve, json!({})),
            say(plane, BOB, &approve, json!({})),
            say(plane, EVE, &approve, json!({})),
        );
        let mut statuses = [eve.status, bob.status, twice.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 409]);
        assert_eq!(case.count("plugin_agent_commands").await, 1);
        assert_eq!(case.count("approval_votes WHERE says = 'yes'").await, 2);
        assert_eq!(case.count("plugin_audit WHERE action = 'command_created'").await, 1);
    }
}

#[tokio::test]
async fn a_yes_and_a_no_at_once_come_to_one_of_them() {
    for _ in 0..5 {
        let (case, _, path) = ordered().await;
        let plane = &case.plane;
        say(plane, EVE, &format!("{path}/approve"), json!({})).await.expect(200);
        let (approve, reject) = (format!("{path}/approve"), format!("{path}/reject"));
        let joe = ("joe", "pay_admin");
        let (yes, no) = tokio::join!(
            say(plane, BOB, &approve, json!({})),
            say(plane, joe, &reject, json!({ "comment": "no" })),
        );
        let status = plane.ops("GET", &path, Value::Null).await.expect(200)["status"].clone();
        let given = case.count("plugin_agent_commands").await;
        match (yes.status, no.status) {
            (200, 409) => assert_eq!((status, given), (json!("approved"), 1)),
            (409, 200) => assert_eq!((status, given), (json!("rejected"), 0)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let (case, _, path) = ordered().await;
    let plane = &case.plane;
    let commands = format!("/api/ops/plugins/{}/commands", case.plugin.id);
    for _ in 0..4 {
        plane.advance(1);
        let order = json!({ "type": "update", "version": "2.0.0" });
        plane.ops("POST", &commands, order).await.expect(202);
    }
    say(plane, BOB, &format!("{path}/reject"), json!({ "comment": "no" }))
        .await
        .expect(200);
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = plane
            .ops("GET", &format!("{LIST}?status=pending&limit=3{after}"), Value::Null)
            .await
            .expect(200);
        seen.extend(
            page["approvals"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].to_string()),
        );
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
    let rejected = plane
        .ops("GET", &format!("{LIST}?status=rejected"), Value::Null)
        .await
        .expect(200);
    assert_eq!(rejected["approvals"].as_array().unwrap().len(), 1);
    plane
        .ops("GET", &format!("{LIST}?status=odd"), Value::Null)
        .await
        .refuses(400, "invalid_query");
    plane
        .ops("GET", &format!("{LIST}?after=odd"), Value::Null)
        .await
        .refuses(400, "invalid_cursor");
    plane
        .ops("GET", &format!("{LIST}/odd"), Value::Null)
        .await
        .refuses(404, "unknown_approval");
}
