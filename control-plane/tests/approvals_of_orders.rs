//! Approvals of orders that people give by hand, and the list of all.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    approvals::{ADA, BOB, EVE, LIST, say},
    case::Case,
};

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
