//! What people say to a cure: yes, another one, or none.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{PASSES, attempt, incident, patch, sick},
};

#[tokio::test]
async fn a_cure_above_the_cap_waits_for_a_person_and_goes_on_with_their_yes() {
    let mut case = Case::begin().await;
    case.plane
        .database
        .run("UPDATE ops_policy SET autopatch_max_severity = 'low' WHERE id = 1")
        .await;
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || requires_approval").await,
        "pending true"
    );
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    let event = "SELECT data ->> 'reason' FROM outbox_events WHERE kind = 'plugin.incident_requires_approval'";
    assert_eq!(
        case.plane.database.text(event).await.as_deref(),
        Some("severity_too_high")
    );
    let listed = case
        .plane
        .ops(
            "GET",
            "/api/ops/plugin-incidents?status=escalated&severity=medium",
            Value::Null,
        )
        .await
        .expect(200);
    let id = listed["incidents"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/ops/plugin-incidents/{id}/approve");
    case.plane
        .ops("POST", &path, json!({ "release_digest": "00".repeat(32) }))
        .await
        .refuses(409, "release_changed");
    let approved = case.plane.ops("POST", &path, Value::Null).await.expect(200);
    assert_eq!(
        (&approved["complete"], &approved["approved_by"][0]["user_id"]),
        (&json!(true), &json!("ada"))
    );
    case.plane.ops("POST", &path, Value::Null).await.expect(200);
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || jsonb_array_length(approved_by)").await,
        "applying 1"
    );
    assert_eq!(incident(&case.plane, "status").await, "in_progress");
    case.plane
        .ops("POST", &path, Value::Null)
        .await
        .refuses(409, "nothing_to_approve");
    let shown = case
        .plane
        .ops(
            "GET",
            "/api/ops/autopatch-attempts?status=applying&limit=5",
            Value::Null,
        )
        .await
        .expect(200);
    assert_eq!(shown["attempts"][0]["to_version"], "1.2.3");
    case.plane
        .ops("GET", "/api/ops/plugin-incidents?status=odd", Value::Null)
        .await
        .refuses(400, "invalid_query");
}

#[tokio::test]
async fn a_major_release_takes_two_people_of_two_roles() {
    let mut case = Case::begin().await;
    case.plane.release("2.0.0").await;
    case.loops.decider.say(patch("2.0.0"));
    case.beat(sick()).await;
    case.turn().await;
    let id = incident(&case.plane, "id").await;
    let path = format!("/api/ops/plugin-incidents/{id}/approve");
    let first = case.plane.ops("POST", &path, Value::Null).await.expect(200);
    assert_eq!(first["complete"], false);
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "pending");
    let now = case.plane.now();
    let token = support::people::sign(&support::people::claims("bob", &["compliance_ops"], now));
    let second = case.plane.api.send("POST", &path, &token, "").await.expect(200);
    assert_eq!(second["complete"], true);
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || to_version").await,
        "applying 2.0.0"
    );
}

#[tokio::test]
async fn people_can_choose_cancel_and_close() {
    let mut case = Case::begin().await;
    case.loops
        .decider
        .say(plugmend_control_plane::domain::decision::Decision {
            action: plugmend_control_plane::domain::decision::Action::NotifyOps,
            patch_version: None,
            ..patch("1.2.3")
        });
    case.beat(sick()).await;
    case.turn().await;
    assert!(
        incident(&case.plane, "status || ' ' || escalation_reason")
            .await
            .starts_with("escalated sira_asks_for_people")
    );
    let id = incident(&case.plane, "id").await;
    let path = format!("/api/ops/plugin-incidents/{id}/manual-action");
    for (body, status, code) in [
        (json!({ "action": "dance" }), 400, "invalid_action"),
        (json!({ "action": "patch" }), 400, "invalid_action"),
        (json!({ "action": "config_fix" }), 400, "invalid_action"),
        (json!({ "action": "cancel" }), 409, "no_attempt"),
        (
            json!({ "action": "patch", "version": "9.9.9" }),
            409,
            "refused_by_policy",
        ),
    ] {
        case.plane.ops("POST", &path, body).await.refuses(status, code);
    }
    let done = case
        .plane
        .ops("POST", &path, json!({ "action": "patch", "version": "1.2.3" }))
        .await
        .expect(200);
    assert_eq!(done["requires_approval"], false);
    case.plane
        .ops("POST", &path, json!({ "action": "rollback" }))
        .await
        .refuses(409, "attempt_under_way");
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || executed_by").await,
        "applying ada"
    );
    case.plane
        .ops("POST", &path, json!({ "action": "cancel" }))
        .await
        .expect(200);
    assert_eq!(case.order().await, Value::Null);
    case.plane
        .ops("POST", &path, json!({ "action": "close" }))
        .await
        .expect(200);
    assert_eq!(
        incident(&case.plane, "status || ' ' || resolution").await,
        "closed closed_by_hand"
    );
    case.plane
        .ops("POST", &path, json!({ "action": "close" }))
        .await
        .refuses(409, "incident_closed");
}

#[tokio::test]
async fn a_cure_that_comes_to_need_a_yes_while_it_is_tried_out_can_have_it() {
    let mut case = Case::begin().await;
    case.loops.runner.say("");
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "staging");
    case.plane
        .database
        .run("UPDATE ops_policy SET autopatch_max_severity = 'low' WHERE id = 1")
        .await;
    case.loops.runner.say(PASSES);
    case.plane.advance(120);
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || requires_approval").await,
        "staging true"
    );
    let path = format!(
        "/api/ops/plugin-incidents/{}/approve",
        incident(&case.plane, "id").await
    );
    case.plane.ops("POST", &path, Value::Null).await.expect(200);
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "applying");
}
