//! Orders: given by people, delivered one at a time, reported on, tried again, given up.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::time::Duration;

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

#[tokio::test]
async fn an_order_goes_all_the_way() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart", "reason": "because" })).await;
    let sent = poll(&gateway).await;
    assert_eq!(
        (sent[0]["id"].as_str(), sent[0]["type"].as_str()),
        (Some(id.as_str()), Some("restart"))
    );
    assert_eq!(sent[0]["payload"]["generation"], 1);
    assert_eq!(sent[0]["payload"]["product"], "molam-pay-node");
    assert_eq!(sent[0]["payload"]["expires_in_s"], 24 * 3600);
    say(
        &gateway,
        &id,
        "progress",
        json!({ "state": "acknowledged", "generation": 1 }),
    )
    .await
    .expect(200);
    assert_eq!(shown(&plane, &id).await["status"], "acknowledged");
    say(
        &gateway,
        &id,
        "progress",
        json!({ "state": "executing", "step": "trial", "done": 0.5 }),
    )
    .await
    .expect(200);
    let executing = shown(&plane, &id).await;
    assert_eq!(
        (&executing["status"], &executing["progress"]["step"]),
        (&json!("executing"), &json!("trial"))
    );
    say(&gateway, &id, "ack", json!({ "result": { "status": "committed" } }))
        .await
        .expect(200);
    let ended = shown(&plane, &id).await;
    assert_eq!(
        (&ended["status"], &ended["response"]["status"]),
        (&json!("completed"), &json!("committed"))
    );
    for time in ["sent_at", "acknowledged_at", "executing_at", "completed_at"] {
        assert!(ended[time].is_string(), "{time}: {ended}");
    }
    assert!(poll(&gateway).await.is_empty());
}

#[tokio::test]
async fn duplicates_do_nothing_and_contradictions_are_refused() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart" })).await;
    poll(&gateway).await;
    for _ in 0..3 {
        say(&gateway, &id, "ack", json!({ "result": 1 })).await.expect(200);
    }
    say(&gateway, &id, "progress", json!({ "state": "executing" }))
        .await
        .expect(200);
    say(&gateway, &id, "fail", json!({ "error": "late" }))
        .await
        .refuses(409, "command_ended");
    assert_eq!(shown(&plane, &id).await["status"], "completed");
    let entries = "SELECT count(*) FROM plugin_audit WHERE action = 'command_completed'";
    assert_eq!(plane.database.number(entries).await, 1);
}

#[tokio::test]
async fn unknown_and_foreign_orders_look_alike() {
    let mut plane = Plane::start().await;
    let (plugin, other) = (plane.agent_plugin().await, plane.agent_plugin().await);
    let gateway = plane.gateway(&plugin);
    let foreign = order(&plane, &other, json!({ "type": "restart" })).await;
    let unknown = plugin.merchant_id.to_string();
    let mut answers = Vec::new();
    for id in [foreign.as_str(), unknown.as_str(), "no-id"] {
        for (what, body) in [
            ("ack", json!({})),
            ("fail", json!({ "error": "x" })),
            ("progress", json!({ "state": "executing" })),
        ] {
            let answer = say(&gateway, id, what, body).await;
            answer.refuses(404, "unknown_command");
            answers.push(answer.body);
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "they can be told apart: {answers:?}");
    assert_eq!(shown(&plane, &foreign).await["status"], "pending");
}

#[tokio::test]
async fn one_order_is_with_a_plugin_at_a_time_and_generations_grow() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let first = order(&plane, &plugin, json!({ "type": "restart" })).await;
    plane.advance(1);
    let second = order(&plane, &plugin, json!({ "type": "health_check" })).await;
    assert_eq!(poll(&gateway).await[0]["id"], json!(first));
    // Handed over again only when its first delivery seems lost, and then the same.
    assert!(poll(&gateway).await.is_empty());
    plane.advance(6);
    let again = poll(&gateway).await;
    assert_eq!(
        (&again[0]["id"], &again[0]["payload"]["generation"]),
        (&json!(first), &json!(1))
    );
    say(&gateway, &first, "ack", json!({})).await.expect(200);
    let next = poll(&gateway).await;
    assert_eq!(
        (&next[0]["id"], &next[0]["payload"]["generation"]),
        (&json!(second), &json!(2))
    );
}

#[tokio::test]
async fn a_heartbeat_brings_the_orders_too() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let id = order(&plane, &plugin, json!({ "type": "restart" })).await;
    for seq in 1..3 {
        let beat = plugin.agent_beat(plane.now(), seq, &[]).to_string();
        let answer = gateway
            .send("POST", "/api/plugins/heartbeat", "", beat)
            .await
            .expect(200);
        assert_eq!(answer["commands"][0]["id"], json!(id));
        assert_eq!(answer["commands"][0]["payload"]["generation"], 1);
    }
}

#[tokio::test]
async fn an_order_ends_a_long_poll_at_once_also_when_another_replica_took_it() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let wait = |gateway: HttpClient| {
        tokio::spawn(async move {
            gateway
                .send("GET", "/api/plugins/commands?wait=55", "", "")
                .await
                .expect(200)
        })
    };
    let waiting = wait(gateway.clone());
    support::eventually("the waiter", || async {
        (plane.state.polls.waiters().count() == 1).then_some(())
    })
    .await;
    let started = std::time::Instant::now();
    let id = order(&plane, &plugin, json!({ "type": "restart" })).await;
    assert_eq!(waiting.await.unwrap()["commands"][0]["id"], json!(id));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "it waited for the end of the poll"
    );
    say(&gateway, &id, "ack", json!({})).await.expect(200);
    // By SQL, as another replica or a trigger would: only the database's notification tells.
    let waiting = wait(gateway);
    support::eventually("the waiter", || async {
        (plane.state.polls.waiters().count() == 1).then_some(())
    })
    .await;
    let sql = "INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type) VALUES ('{}', 'health_check')";
    plane.database.run(&sql.replace("{}", &plugin.id.to_string())).await;
    assert_eq!(waiting.await.unwrap()["commands"][0]["type"], "health_check");
}

#[tokio::test]
async fn a_stop_answers_long_polls() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let waiting = tokio::spawn(async move {
        gateway
            .send("GET", "/api/plugins/commands?wait=55", "", "")
            .await
            .expect(200)
    });
    support::eventually("the waiter", || async {
        (plane.state.polls.waiters().count() == 1).then_some(())
    })
    .await;
    let _database = plane.stop().await;
    assert_eq!(waiting.await.unwrap()["commands"], json!([]));
}

#[tokio::test]
async fn a_plugin_without_agent_gets_only_what_it_declares() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let path = format!("/api/ops/plugins/{}/commands", plugin.id);
    plane
        .ops("POST", &path, json!({ "type": "restart" }))
        .await
        .refuses(409, "capability_missing");
    let mut beat = plugin.beat(plane.now());
    beat["capabilities"] = json!(["config_update"]);
    plane
        .api
        .send("POST", "/api/plugins/heartbeat", &plugin.secret, beat.to_string())
        .await
        .expect(200);
    plane
        .ops("POST", &path, json!({ "type": "restart" }))
        .await
        .refuses(409, "capability_missing");
    // Written by hand, and still not sent.
    let sql = "INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type) VALUES ('{}', 'restart')";
    plane.database.run(&sql.replace("{}", &plugin.id.to_string())).await;
    let id = order(
        &plane,
        &plugin,
        json!({ "type": "config_update", "config": { "theme": "light" } }),
    )
    .await;
    let beat = plugin.beat(plane.now()).to_string();
    let answer = plane
        .api
        .send("POST", "/api/plugins/heartbeat", &plugin.secret, beat)
        .await
        .expect(200);
    assert_eq!(answer["commands"][0]["id"], json!(id));
    let other = plane.plugin().await;
    let ack = format!("/api/plugins/commands/{id}/ack");
    plane
        .api
        .send("POST", &ack, &other.secret, "{}")
        .await
        .refuses(404, "unknown_command");
    plane
        .api
        .send("POST", &ack, "pms_forged", "{}")
        .await
        .refuses(401, "unauthorized_plugin");
    plane
        .api
        .send("POST", &ack, &plugin.secret, "{\"result\": {\"set\": 1}}")
        .await
        .expect(200);
    assert_eq!(shown(&plane, &id).await["status"], "completed");
}

#[tokio::test]
async fn rows_that_can_not_be_read_do_not_stop_the_others() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let sql = "INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type, command_payload, created_at)
               VALUES ('{}', 'restart', '\"odd\"', now() - interval '1 hour')";
    plane.database.run(&sql.replace("{}", &plugin.id.to_string())).await;
    let id = order(&plane, &plugin, json!({ "type": "restart" })).await;
    assert_eq!(poll(&gateway).await[0]["id"], json!(id));
}

#[tokio::test]
async fn without_a_certificate_nothing_is_said() {
    let plane = Plane::start().await;
    let router = plugmend_control_plane::http::agent_router(plane.state.clone());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let gateway = HttpClient::new(listener.local_addr().unwrap());
    let stop = tokio::sync::watch::Sender::new(false);
    let serving = tokio::spawn(plugmend_control_plane::http::serve_plain(
        listener,
        router,
        stop.subscribe(),
    ));
    let id = plane.plugin().await.id;
    for (method, path) in [
        ("GET", POLL.to_owned()),
        ("POST", "/api/plugins/heartbeat".to_owned()),
        ("POST", format!("/api/plugins/commands/{id}/ack")),
        ("POST", format!("/api/plugins/commands/{id}/fail")),
        ("POST", format!("/api/plugins/commands/{id}/progress")),
    ] {
        gateway
            .send(method, &path, "", "{}")
            .await
            .refuses(401, "client_certificate_required");
    }
    stop.send_replace(true);
    serving.await.unwrap().unwrap();
}
