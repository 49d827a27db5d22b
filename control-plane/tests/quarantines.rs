//! Releases that are kept from plugins: listed, and lifted by people with a reason.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{FAILS, attempt, sick},
    people,
};

const LIST: &str = "/api/ops/quarantines";

#[tokio::test]
async fn a_quarantine_is_seen_and_lifted_with_a_reason() {
    let mut case = Case::begin().await;
    case.loops.runner.say(FAILS);
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "failed");
    let plane = &case.plane;
    let release = "/api/ops/releases/molam-pay-node/1.2.3";
    let shown = plane.ops("GET", release, Value::Null).await.expect(200);
    assert_eq!(
        (
            &shown["state"],
            &shown["quarantined_on"],
            &shown["quarantined_everywhere"]
        ),
        (&json!("published"), &json!(1), &json!(false))
    );
    let list = plane.ops("GET", LIST, Value::Null).await.expect(200);
    let found = &list["quarantines"][0];
    assert_eq!(
        (&found["version"], &found["scope"], &found["plugin_id"], &list["next"]),
        (&json!("1.2.3"), &json!("plugin"), &json!(case.plugin.id), &Value::Null)
    );
    assert!(found["reason"].as_str().unwrap().contains("sandbox"), "{found}");
    let lifting = format!("{LIST}/{}/lift", found["id"].as_str().unwrap());
    let reason = json!({ "reason": "the sandbox lacked a library" });
    let watcher = people::sign(&people::claims("eve", &["compliance_ops"], plane.now()));
    plane
        .api
        .send("POST", &lifting, &watcher, reason.to_string())
        .await
        .refuses(403, "forbidden");
    plane
        .ops("POST", &lifting, json!({ "reason": " " }))
        .await
        .refuses(400, "reason_required");
    let lifted = plane.ops("POST", &lifting, reason.clone()).await.expect(200);
    assert_eq!(
        (&lifted["lifted_by"], &lifted["lifted_why"]),
        (&json!("ada"), &json!("the sandbox lacked a library"))
    );
    plane.ops("POST", &lifting, reason).await.refuses(409, "already_lifted");
    let none = plane
        .ops("GET", &format!("{LIST}?scope=plugin"), Value::Null)
        .await
        .expect(200);
    assert_eq!(none["quarantines"], json!([]));
    let all = plane
        .ops("GET", &format!("{LIST}?status=all"), Value::Null)
        .await
        .expect(200);
    assert_eq!(all["quarantines"].as_array().unwrap().len(), 1);
    assert_eq!(case.count("plugin_audit WHERE action = 'quarantine_lifted'").await, 1);
    let shown = plane.ops("GET", release, Value::Null).await.expect(200);
    assert_eq!(shown["quarantined_on"], 0);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let case = Case::begin().await;
    let plane = &case.plane;
    let unknown = format!("{LIST}/{}/lift", uuid::Uuid::nil());
    plane
        .ops("POST", &unknown, json!({ "reason": "x" }))
        .await
        .refuses(404, "unknown_quarantine");
    for path in [
        "/api/ops/releases/molam-pay-node/9.9.9",
        "/api/ops/releases/molam-pay-node/odd",
    ] {
        plane
            .ops("GET", path, Value::Null)
            .await
            .refuses(404, "unknown_release");
    }
    for query in ["scope=odd", "status=odd", "odd=1"] {
        plane
            .ops("GET", &format!("{LIST}?{query}"), Value::Null)
            .await
            .refuses(400, "invalid_query");
    }
    plane
        .ops("GET", &format!("{LIST}?after=odd"), Value::Null)
        .await
        .refuses(400, "invalid_cursor");
}
