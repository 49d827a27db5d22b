//! Every write of port 8112, done once on a stage of its own.

use serde_json::{Value, json};

use super::{
    case::Case,
    healing::{FAILS, incident, sick},
    http::Answer,
    plane::Plane,
    releases,
};

/// Does the write, as one does it who may; what it came to, and where.
///
/// # Panics
/// When there is no example of it yet.
pub async fn done(method: &str, path: &str) -> (Plane, Answer) {
    match path {
        path if path.starts_with("/api/plugins/") => plugins_own(path).await,
        path if path.starts_with("/api/ops/approvals/") => about_an_approval(path).await,
        path if path.starts_with("/api/ops/plugin-incidents/") => about_an_incident(path).await,
        path if path.starts_with("/api/ops/quarantines/") => about_a_quarantine(path).await,
        path if path.starts_with("/api/ops/releases/") => about_a_release(path).await,
        path if path.starts_with("/api/ops/webhook") => about_a_webhook(path).await,
        _ => about_a_plugin(method, path).await,
    }
}

async fn about_a_plugin(method: &str, path: &str) -> (Plane, Answer) {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let (id, merchant) = (plugin.id.to_string(), plugin.merchant_id.to_string());
    let (id, body) = match path {
        "/api/ops/merchants" => (id, json!({ "name": "Shop" })),
        "/api/ops/merchants/{id}/wishes" => (merchant, json!({ "opt_out": true })),
        "/api/ops/plugins" => (id, json!({ "merchant_id": merchant, "cms": "node" })),
        "/api/ops/plugins/{id}/commands" => {
            capable(&plane).await;
            (id, json!({ "type": "restart" }))
        }
        "/api/ops/plugins/{id}/secret" => (id, Value::Null),
        "/api/ops/enrolment-tokens" => {
            let new = json!({ "merchant_id": merchant, "product": "molam-pay-node", "cms": "node" });
            (id, new)
        }
        "/api/ops/agents/{plugin_id}/revoke" => {
            let agent =
                "INSERT INTO agents (plugin_id, merchant_id, product, agent_version, enrolled_at, enrolled_from)
                         SELECT id, merchant_id, 'molam-pay-node', '1.0.0', now(), '192.0.2.1' FROM merchant_plugins";
            plane.database.run(agent).await;
            (id, json!({ "reason": "its host was sold" }))
        }
        "/api/ops/policy" => return policy_changed(plane).await,
        "/api/ops/policy/kill-switch" => (id, json!({ "on": true, "reason": "to see it" })),
        "/api/ops/model/{source}/reinstate" => {
            let demoted = "UPDATE sira_models SET demoted_at = now() WHERE source = 'built_in'";
            plane.database.run(demoted).await;
            ("built_in".to_owned(), Value::Null)
        }
        _ => panic!("there is no example of {method} {path}: give one in tests/support/walk.rs"),
    };
    let answer = plane.ops(method, &filled(path, &id), body).await;
    (plane, answer)
}

async fn policy_changed(plane: Plane) -> (Plane, Answer) {
    let patch = json!({ "policy": { "sira_min_confidence": 0.9 }, "reason": "to see it" });
    let read = plane.ops("GET", "/api/ops/policy", Value::Null).await;
    let authorization = format!("Bearer {}", plane.token);
    let headers = [
        ("authorization", authorization.as_str()),
        ("if-match", read.headers["etag"].to_str().unwrap()),
    ];
    let answer = plane
        .api
        .send_with("PATCH", "/api/ops/policy", &headers, patch.to_string())
        .await;
    (plane, answer)
}

async fn about_an_approval(path: &str) -> (Plane, Answer) {
    let case = waiting().await;
    let list = case
        .plane
        .ops("GET", "/api/ops/approvals", Value::Null)
        .await
        .expect(200);
    let id = list["approvals"][0]["id"].as_str().unwrap();
    let body = match path {
        "/api/ops/approvals/{id}/approve" => json!({}),
        _ => json!({ "comment": "let us wait for Monday" }),
    };
    let answer = case.plane.ops("POST", &filled(path, id), body).await;
    (case.plane, answer)
}

/// A cure that waits for a person.
async fn waiting() -> Case {
    let mut case = Case::begin().await;
    let cautious = "UPDATE ops_policy SET autopatch_max_severity = 'low' WHERE id = 1";
    case.plane.database.run(cautious).await;
    case.beat(sick()).await;
    case.turn().await;
    case
}

async fn about_an_incident(path: &str) -> (Plane, Answer) {
    let case = waiting().await;
    let id = incident(&case.plane, "id").await;
    let body = match path {
        "/api/ops/plugin-incidents/{id}/approve" => Value::Null,
        "/api/ops/plugin-incidents/{id}/manual-action" => json!({ "action": "close" }),
        _ => panic!("there is no example of {path}: give one in tests/support/walk.rs"),
    };
    let answer = case.plane.ops("POST", &filled(path, &id), body).await;
    (case.plane, answer)
}

async fn about_a_quarantine(path: &str) -> (Plane, Answer) {
    let mut case = Case::begin().await;
    case.loops.runner.say(FAILS);
    case.beat(sick()).await;
    case.turn().await;
    let id = case
        .plane
        .database
        .text("SELECT id::text FROM release_quarantines")
        .await;
    let body = json!({ "reason": "the sandbox lacked a library" });
    let answer = case.plane.ops("POST", &filled(path, &id.unwrap()), body).await;
    (case.plane, answer)
}

async fn about_a_release(path: &str) -> (Plane, Answer) {
    let (plane, mut engineers) = releases::begin().await;
    let built = releases::build("1.0.0", &[("index.js", "one")]);
    releases::upload(&plane, &built).await;
    engineers.add(&built);
    let published = releases::publish(&plane, engineers.submission()).await;
    let answer = match path {
        "/api/ops/releases/publish" => published,
        "/api/ops/releases/blobs/{sha256}" => {
            let bytes = b"a file";
            releases::put(&plane, &plugmend_shared::ids::Digest::of(bytes), bytes).await
        }
        "/api/ops/releases/{product}/{version}/block" => {
            let path = format!("/api/ops/releases/{}/1.0.0/block", releases::PRODUCT);
            plane.ops("POST", &path, json!({ "reason": "it is slow" })).await
        }
        _ => panic!("there is no example of {path}: give one in tests/support/walk.rs"),
    };
    (plane, answer)
}

async fn about_a_webhook(path: &str) -> (Plane, Answer) {
    let plane = Plane::start().await;
    let new = json!({ "event_type": "*", "url": "http://127.0.0.1:9/" });
    let made = plane.ops("POST", "/api/ops/webhooks", new).await;
    let id = made.body["id"].as_str().unwrap_or_default().to_owned();
    let answer = match path {
        "/api/ops/webhooks" => made,
        "/api/ops/webhooks/{id}/active" => plane.ops("POST", &filled(path, &id), json!({ "active": false })).await,
        "/api/ops/webhooks/{id}/replay" => plane.ops("POST", &filled(path, &id), Value::Null).await,
        "/api/ops/webhook-deliveries/{id}/replay" => {
            let dead = format!(
                "WITH event AS (INSERT INTO outbox_events (id, kind, data, spread_at)
                   VALUES (gen_random_uuid(), 'plugin.incident_created', '{{}}', now()) RETURNING id)
                 INSERT INTO webhook_deliveries (event_id, webhook_id, status, next_attempt_at, ended_at, created_at)
                 SELECT id, '{id}', 'dead', now(), now(), now() FROM event"
            );
            plane.database.run(&dead).await;
            let delivery = plane.database.text("SELECT id::text FROM webhook_deliveries").await;
            plane.ops("POST", &filled(path, &delivery.unwrap()), Value::Null).await
        }
        _ => panic!("there is no example of {path}: give one in tests/support/walk.rs"),
    };
    (plane, answer)
}

async fn plugins_own(path: &str) -> (Plane, Answer) {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    capable(&plane).await;
    let order = json!({ "type": "restart" });
    let given = plane
        .ops("POST", &format!("/api/ops/plugins/{}/commands", plugin.id), order)
        .await
        .expect(201);
    let beat = plugin.beat(plane.now()).to_string();
    plane
        .api
        .send("POST", "/api/plugins/heartbeat", &plugin.secret, beat)
        .await
        .expect(200);
    let body = match path {
        "/api/plugins/commands/{id}/ack" => json!({ "result": {} }),
        "/api/plugins/commands/{id}/fail" => json!({ "error": "no: it will not", "retryable": false }),
        _ => panic!("there is no example of {path}: give one in tests/support/walk.rs"),
    };
    let path = filled(path, given["id"].as_str().unwrap());
    let answer = plane.api.send("POST", &path, &plugin.secret, body.to_string()).await;
    (plane, answer)
}

/// Has the plugin say that it can be restarted.
async fn capable(plane: &Plane) {
    plane
        .database
        .run("UPDATE merchant_plugins SET capabilities = ARRAY['restart']")
        .await;
}

fn filled(path: &str, id: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}
