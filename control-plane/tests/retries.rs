//! Orders that are not carried out at once: tried again with pauses, given up, believed when they end late after all.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::service::command::end_overdue;
use serde_json::{Value, json};
use support::{
    http::HttpClient,
    plane::{Plane, Plugin},
};

const POLL: &str = "/api/plugins/commands?wait=0";

async fn order(plane: &Plane, plugin: &Plugin, order: Value) -> String {
    let given = plane
        .ops("POST", &format!("/api/ops/plugins/{}/commands", plugin.id), order)
        .await
        .expect(201);
    given["id"].as_str().unwrap().to_owned()
}

async fn poll(gateway: &HttpClient) -> Vec<Value> {
    gateway.send("GET", POLL, "", "").await.expect(200)["commands"]
        .as_array()
        .unwrap()
        .clone()
}

async fn say(gateway: &HttpClient, id: &str, what: &str, body: Value) -> support::http::Answer {
    gateway
        .send(
            "POST",
            &format!("/api/plugins/commands/{id}/{what}"),
            "",
            body.to_string(),
        )
        .await
}

async fn shown(plane: &Plane, id: &str) -> Value {
    plane
        .ops("GET", &format!("/api/ops/commands/{id}"), Value::Null)
        .await
        .expect(200)
}

async fn overdue(plane: &Plane) -> u16 {
    end_overdue(&plane.state.db, plane.now(), 0, 100).await.unwrap()
}

#[tokio::test]
async fn a_failed_try_is_repeated_with_backoff_until_none_is_left() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart", "max_retries": 2 })).await;
    for (generation, wait) in [(1, 30), (2, 60)] {
        assert_eq!(poll(&gateway).await[0]["payload"]["generation"], generation);
        say(
            &gateway,
            &id,
            "fail",
            json!({ "error": "busy: later", "generation": generation }),
        )
        .await
        .expect(200);
        assert_eq!(shown(&plane, &id).await["status"], "pending");
        assert!(poll(&gateway).await.is_empty(), "sent again without a pause");
        plane.advance(wait);
    }
    assert_eq!(poll(&gateway).await[0]["payload"]["generation"], 3);
    // A straggler about an earlier try does not end this one.
    say(
        &gateway,
        &id,
        "fail",
        json!({ "error": "busy: later", "generation": 1 }),
    )
    .await
    .expect(200);
    assert_eq!(shown(&plane, &id).await["status"], "sent");
    say(
        &gateway,
        &id,
        "fail",
        json!({ "error": "broken: for good", "generation": 3 }),
    )
    .await
    .expect(200);
    let ended = shown(&plane, &id).await;
    assert_eq!(
        (&ended["status"], &ended["error_message"]),
        (&json!("failed"), &json!("broken: for good"))
    );
    assert_eq!(ended["retry_count"], 2);
}

#[tokio::test]
async fn what_can_not_help_is_not_tried_again() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart" })).await;
    poll(&gateway).await;
    say(
        &gateway,
        &id,
        "fail",
        json!({ "error": "quarantined: no", "retryable": false, "result": { "x": 1 } }),
    )
    .await
    .expect(200);
    let ended = shown(&plane, &id).await;
    assert_eq!(
        (&ended["status"], &ended["response"]["x"]),
        (&json!("failed"), &json!(1))
    );
}

#[tokio::test]
async fn silence_leads_to_another_try_and_at_last_to_timeout() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart", "max_retries": 1 })).await;
    poll(&gateway).await;
    plane.advance(299);
    assert_eq!(overdue(&plane).await, 0);
    plane.advance(2);
    assert_eq!(overdue(&plane).await, 1);
    assert_eq!(shown(&plane, &id).await["status"], "pending");
    plane.advance(60);
    poll(&gateway).await;
    say(&gateway, &id, "progress", json!({ "state": "executing" }))
        .await
        .expect(200);
    plane.advance(2 * 3600 + 1);
    assert_eq!(overdue(&plane).await, 1);
    assert_eq!(shown(&plane, &id).await["status"], "timeout");
    // The plugin knows better than our patience.
    say(&gateway, &id, "ack", json!({ "result": "done after all" }))
        .await
        .expect(200);
    assert_eq!(shown(&plane, &id).await["status"], "completed");
}

#[tokio::test]
async fn an_order_that_expired_is_not_sent() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart", "expires_in_s": 60 })).await;
    plane.advance(61);
    assert!(poll(&gateway).await.is_empty());
    assert_eq!(overdue(&plane).await, 1);
    assert_eq!(shown(&plane, &id).await["status"], "timeout");
}

#[tokio::test]
async fn orders_that_can_not_be_read_end_and_do_not_stand_before_others() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let id = order(&plane, &plugin, json!({ "type": "restart" })).await;
    // As many as a batch takes, older than the one that can be read.
    plane
        .database
        .run(&format!(
            "INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type, command_payload, created_at)
             SELECT '{}', 'update', '[\"no payload\"]', now() - interval '9 days' FROM generate_series(1, 100)",
            plugin.id
        ))
        .await;
    plane.advance(25 * 3600);
    while overdue(&plane).await > 0 {}
    assert_eq!(shown(&plane, &id).await["status"], "timeout");
    let ended = "SELECT count(*) FROM plugin_agent_commands
                 WHERE status = 'failed' AND error_message LIKE 'unreadable: %' AND completed_at IS NOT NULL";
    assert_eq!(plane.database.number(ended).await, 100);
}

#[tokio::test]
async fn a_way_back_passes_the_change_that_the_agent_has_in_hand_and_nothing_else_does() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let change = order(
        &plane,
        &plugin,
        json!({ "type": "config_update", "config": { "timeout_ms": 500 } }),
    )
    .await;
    assert_eq!(poll(&gateway).await[0]["id"], change);
    order(&plane, &plugin, json!({ "type": "restart" })).await;
    let back = order(&plane, &plugin, json!({ "type": "rollback" })).await;
    assert!(
        poll(&gateway).await.is_empty(),
        "the agent has not said that it has the change"
    );
    say(&gateway, &change, "progress", json!({ "state": "executing" }))
        .await
        .expect(200);
    let sent = poll(&gateway).await;
    assert_eq!((&sent[0]["id"], sent.len()), (&json!(back), 1));
    assert!(poll(&gateway).await.is_empty(), "the restart waits for both");
    plane.advance(10);
    assert_eq!(poll(&gateway).await[0]["id"], back, "its delivery may have been lost");
    say(
        &gateway,
        &change,
        "fail",
        json!({ "error": "asked_to_go_back: it was asked", "retryable": false }),
    )
    .await
    .expect(200);
    say(&gateway, &back, "ack", json!({ "result": {} })).await.expect(200);
    assert_eq!(poll(&gateway).await[0]["type"], "restart");
}
