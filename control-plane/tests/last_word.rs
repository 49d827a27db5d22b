//! What an agent is told when it asks, right before it changes the plugin, whether its order still stands.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    http::HttpClient,
    plane::{Plane, Plugin},
};

/// A change in the agent's hands.
async fn in_hand(plane: &Plane, plugin: &Plugin, gateway: &HttpClient) -> String {
    let order = json!({ "type": "config_update", "config": { "timeout_ms": 500 } });
    let path = format!("/api/ops/plugins/{}/commands", plugin.id);
    let given = plane.ops("POST", &path, order).await.expect(201);
    let poll = gateway.send("GET", "/api/plugins/commands?wait=0", "", "").await;
    assert_eq!(poll.expect(200)["commands"][0]["id"], given["id"]);
    given["id"].as_str().unwrap().to_owned()
}

async fn go(gateway: &HttpClient, id: &str) -> Value {
    let path = format!("/api/plugins/commands/{id}/go");
    gateway.send("GET", &path, "", "").await.expect(200)
}

/// Makes the order part of an attempt that `executed_by` began.
async fn attempt(plane: &Plane, plugin: &Plugin, command: &str, executed_by: &str) {
    let sql = format!(
        "WITH incident AS (
           INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, detected_at, status)
           VALUES ('{plugin}', 'error_spike', 'medium', now(), 'in_progress') RETURNING id
         ), attempt AS (
           INSERT INTO plugin_autopatch_attempts
             (incident_id, merchant_plugin_id, from_version, to_version, method, status, executed_by)
           SELECT id, '{plugin}', '1.0.0', '1.0.1', 'config_fix', 'applying', '{executed_by}' FROM incident RETURNING id
         )
         UPDATE plugin_agent_commands SET attempt_id = (SELECT id FROM attempt) WHERE id = '{command}'",
        plugin = plugin.id
    );
    plane.database.run(&sql).await;
}

#[tokio::test]
async fn the_kill_switch_counts_until_the_last_moment() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = in_hand(&plane, &plugin, &gateway).await;
    assert_eq!(go(&gateway, &id).await, json!({ "go": true }));
    attempt(&plane, &plugin, &id, "sira").await;
    assert_eq!(go(&gateway, &id).await["go"], true);
    let off = "UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1";
    plane.database.run(off).await;
    let answer = go(&gateway, &id).await;
    assert_eq!(answer["go"], false);
    assert!(answer["reason"].as_str().unwrap().contains("switched off"), "{answer}");
    // What a person began is a person's to stop.
    let by_a_person = "UPDATE plugin_autopatch_attempts SET executed_by = gen_random_uuid()::text";
    plane.database.run(by_a_person).await;
    assert_eq!(go(&gateway, &id).await["go"], true);
}

#[tokio::test]
async fn what_was_cancelled_called_back_or_is_not_the_agents_does_not_go() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = in_hand(&plane, &plugin, &gateway).await;
    let stranger = plane.agent_plugin().await;
    let strangers = plane.gateway(&stranger);
    let path = format!("/api/plugins/commands/{id}/go");
    strangers
        .send("GET", &path, "", "")
        .await
        .refuses(404, "unknown_command");
    gateway
        .send("GET", "/api/plugins/commands/nonsense/go", "", "")
        .await
        .refuses(404, "unknown_command");
    let back = json!({ "type": "rollback" });
    let orders = format!("/api/ops/plugins/{}/commands", plugin.id);
    plane.ops("POST", &orders, back).await.expect(201);
    assert_eq!(go(&gateway, &id).await["go"], false, "it was called back");
    plane
        .database
        .run("UPDATE plugin_agent_commands SET status = 'failed' WHERE command_type = 'rollback'")
        .await;
    assert_eq!(go(&gateway, &id).await["go"], true);
    attempt(&plane, &plugin, &id, "sira").await;
    // The runbook's emergency stop.
    plane
        .database
        .run("UPDATE plugin_autopatch_attempts SET status = 'cancelled' WHERE status IN ('pending','staging','applying')")
        .await;
    assert_eq!(go(&gateway, &id).await["go"], false);
}

#[tokio::test]
async fn an_order_for_a_release_that_was_blocked_meanwhile_does_not_go() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    plane.release("1.0.1").await;
    let order = json!({ "type": "update", "version": "1.0.1", "reason": "a test" });
    let path = format!("/api/ops/plugins/{}/commands", plugin.id);
    let given = plane.ops("POST", &path, order).await.expect(201);
    gateway
        .send("GET", "/api/plugins/commands?wait=0", "", "")
        .await
        .expect(200);
    let id = given["id"].as_str().unwrap();
    assert_eq!(go(&gateway, id).await["go"], true);
    plane
        .database
        .run("UPDATE releases SET blocked_at = now(), blocked_reason = 'x', blocked_by = 'ada'")
        .await;
    let answer = go(&gateway, id).await;
    assert_eq!(answer["go"], false);
    assert!(answer["reason"].as_str().unwrap().contains("blocked"), "{answer}");
}
