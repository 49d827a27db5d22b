//! The policy of ops: read, changed, switched off, looked back upon and tried on what was.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{patch, sick},
    http::Answer,
    people,
    plane::Plane,
};

const POLICY: &str = "/api/ops/policy";
const SWITCH: &str = "/api/ops/policy/kill-switch";
const HISTORY: &str = "/api/ops/policy/history";

async fn ask_as(plane: &Plane, (who, role): (&str, &str), method: &str, path: &str, body: Value) -> Answer {
    let token = people::sign(&people::claims(who, &[role], plane.now()));
    plane.api.send(method, path, &token, body.to_string()).await
}

async fn change(plane: &Plane, tag: &str, body: Value) -> Answer {
    let authorization = format!("Bearer {}", plane.token);
    let headers = [("authorization", authorization.as_str()), ("if-match", tag)];
    plane.api.send_with("PATCH", POLICY, &headers, body.to_string()).await
}

fn tag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_was_read_is_what_is_changed() {
    let plane = Plane::start().await;
    let read = plane.ops("GET", POLICY, Value::Null).await;
    let first = tag(&read);
    assert_eq!(read.expect(200)["policy"]["sira_min_confidence"], 0.75);
    let wanted =
        json!({ "policy": { "sira_min_confidence": 0.8, "autopatch_max_severity": "high" }, "reason": "noise" });
    plane
        .ops("PATCH", POLICY, wanted.clone())
        .await
        .refuses(428, "if_match_required");
    change(&plane, "*", wanted.clone()).await.refuses(412, "policy_changed");
    let changed = change(&plane, &first, wanted.clone()).await;
    let second = tag(&changed);
    let changed = changed.expect(200);
    assert_eq!(
        (
            &changed["policy"]["sira_min_confidence"],
            &changed["updated_by"],
            &changed["version"]
        ),
        (&json!(0.8), &json!("ada"), &json!(2))
    );
    change(&plane, &first, wanted.clone())
        .await
        .refuses(412, "policy_changed");
    change(&plane, &second, wanted).await.refuses(409, "nothing_changed");
    assert_eq!(tag(&plane.ops("GET", POLICY, Value::Null).await), second);
    let entry = "SELECT concat_ws(' ', actor_type, actor_id, details ->> 'reason',
        details #>> '{changes,sira_min_confidence,was}', details #>> '{changes,sira_min_confidence,is}')
        FROM plugin_audit WHERE action = 'policy_changed'";
    assert_eq!(
        plane.database.text(entry).await.as_deref(),
        Some("ops ada noise 0.750 0.800")
    );
}

#[tokio::test]
async fn a_change_is_checked_strictly() {
    let plane = Plane::start().await;
    for (policy, code) in [
        (json!({ "multisig_quorum_count": 0 }), "invalid_policy"),
        (json!({ "sira_min_confidence": 7 }), "invalid_policy"),
        (json!({ "sira_min_confidence": 0.12345 }), "invalid_policy"),
        (json!({ "autopatch_enabled": "no" }), "invalid_field"),
        (
            json!({ "autopatch_max_severity": "'; DROP TABLE ops_policy; --" }),
            "invalid_field",
        ),
        (json!({ "autopatch_whitelist": ["everybody"] }), "invalid_field"),
        (json!({ "no_such_field": 1 }), "invalid_field"),
    ] {
        change(&plane, "\"1\"", json!({ "policy": policy, "reason": "a test" }))
            .await
            .refuses(400, code);
    }
    let body = json!({ "policy": { "canary_percentage": 5 }, "reason": " " });
    change(&plane, "\"1\"", body).await.refuses(400, "reason_required");
    let body = json!({ "policy": { "canary_percentage": 5 } });
    change(&plane, "\"1\"", body)
        .await
        .refuses(400, "missing_required_fields");
    let body = json!({ "policy": { "canary_percentage": 5 }, "reason": "x" });
    let watcher = people::sign(&people::claims("eve", &["compliance_ops"], plane.now()));
    plane
        .api
        .send("PATCH", POLICY, &watcher, body.to_string())
        .await
        .refuses(403, "forbidden");
    assert_eq!(
        plane.database.number("SELECT count(*) FROM ops_policy_history").await,
        1
    );
}

#[tokio::test]
async fn of_two_people_who_change_it_at_once_one_is_told_to_read_again() {
    let plane = Plane::start().await;
    let one = change(
        &plane,
        "\"1\"",
        json!({ "policy": { "canary_percentage": 5 }, "reason": "one" }),
    );
    let two = change(
        &plane,
        "\"1\"",
        json!({ "policy": { "canary_percentage": 6 }, "reason": "two" }),
    );
    let (one, two) = tokio::join!(one, two);
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test]
async fn anybody_of_ops_stops_and_only_who_runs_the_fleet_lets_go_on() {
    let plane = Plane::start().await;
    let eve = ("eve", "compliance_ops");
    let stop = json!({ "on": true, "reason": "smoke in the hall" });
    let thrown = ask_as(&plane, eve, "POST", SWITCH, stop.clone()).await.expect(200);
    assert_eq!(thrown["policy"]["autopatch_enabled"], false);
    ask_as(&plane, eve, "POST", SWITCH, stop).await.expect(200);
    let go_on = json!({ "on": false, "reason": "it was toast" });
    ask_as(&plane, eve, "POST", SWITCH, go_on.clone())
        .await
        .refuses(403, "forbidden");
    ask_as(&plane, eve, "POST", SWITCH, json!({ "on": true, "reason": "" }))
        .await
        .refuses(400, "reason_required");
    let back = plane.ops("POST", SWITCH, go_on).await.expect(200);
    assert_eq!(back["policy"]["autopatch_enabled"], true);
    let history = plane.ops("GET", HISTORY, Value::Null).await.expect(200);
    let told: Vec<(&Value, &Value)> = history["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["changed_by"], &change["reason"]))
        .collect();
    assert_eq!(told[0], (&json!("ada"), &json!("it was toast")));
    assert_eq!(told[1], (&json!("eve"), &json!("smoke in the hall")));
    assert_eq!(told.len(), 3, "what changes nothing is no change");
}

#[tokio::test]
async fn the_runbooks_sql_is_in_the_history_too() {
    let plane = Plane::start().await;
    plane
        .database
        .run("UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
        .await;
    let history = plane
        .ops("GET", &format!("{HISTORY}?limit=1"), Value::Null)
        .await
        .expect(200);
    let newest = &history["changes"][0];
    assert_eq!(
        (
            &newest["by_hand"],
            &newest["version"],
            &newest["changes"]["autopatch_enabled"]
        ),
        (&json!(true), &json!(2), &json!({ "was": true, "is": false }))
    );
    assert_eq!(newest["policy"]["autopatch_enabled"], false);
    let next = history["next"].as_str().unwrap();
    let older = plane
        .ops("GET", &format!("{HISTORY}?limit=1&after={next}"), Value::Null)
        .await
        .expect(200);
    assert_eq!(
        (&older["changes"][0]["version"], &older["next"]),
        (&json!(1), &Value::Null)
    );
    change(
        &plane,
        "\"1\"",
        json!({ "policy": { "canary_percentage": 5 }, "reason": "x" }),
    )
    .await
    .refuses(412, "policy_changed");
    plane.database.run("DELETE FROM ops_policy").await;
    plane.ops("GET", POLICY, Value::Null).await.refuses(409, "no_policy");
    plane.database.run("INSERT INTO ops_policy (id) VALUES (1)").await;
    let back = plane.ops("GET", POLICY, Value::Null).await.expect(200);
    assert_eq!(back["version"], 4);
}

#[tokio::test]
async fn another_policy_is_tried_on_what_was() {
    let mut case = Case::begin().await;
    case.beat(sick()).await;
    case.turn().await;
    let path = "/api/ops/policy/dry-run";
    let same = case.plane.ops("POST", path, json!({})).await.expect(200);
    assert_eq!(
        (&same["judged"], &same["was"], &same["would_be"], &same["differ"]),
        (
            &json!(1),
            &json!({ "allow": 1, "needs_approval": 0, "refuse": 0 }),
            &json!({ "allow": 1, "needs_approval": 0, "refuse": 0 }),
            &json!(0)
        )
    );
    let asked = json!({ "policy": { "autopatch_max_severity": "low", "sira_min_confidence": 0.9 }, "days": 1 });
    let other = case.plane.ops("POST", path, asked.clone()).await.expect(200);
    assert_eq!(
        other["would_be"],
        json!({ "allow": 0, "needs_approval": 1, "refuse": 0 })
    );
    let difference = &other["differences"][0];
    assert_eq!(
        (
            &difference["was"]["outcome"],
            &difference["to_version"],
            &difference["attempt_status"]
        ),
        (&json!("allow"), &json!("1.2.3"), &json!("applying"))
    );
    let codes: Vec<&str> = difference["would_be"]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["severity_too_high", "low_confidence"]);
    // It changes nothing.
    assert_eq!(case.count("ops_policy_history").await, 1);
    case.plane
        .ops("POST", path, json!({ "days": 32 }))
        .await
        .refuses(400, "invalid_days");
    case.plane
        .ops("POST", path, json!({ "policy": { "canary_percentage": 101 } }))
        .await
        .refuses(400, "invalid_policy");
    case.plane
        .ops("POST", path, json!({ "after": "x" }))
        .await
        .refuses(400, "invalid_cursor");
    case.plane.advance(2 * 24 * 3600);
    let later = case.plane.ops("POST", path, asked).await.expect(200);
    assert_eq!((&later["judged"], &later["differ"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn differences_come_in_pages() {
    let mut case = Case::begin().await;
    case.plane.release("2.0.0").await;
    case.loops.decider.say(patch("2.0.0"));
    case.beat(sick()).await;
    case.turn().await;
    case.plane
        .database
        .run(
            "INSERT INTO policy_judgements (judged_at, incident_id, merchant_id, merchant_plugin_id, policy_version,
               outcome, reasons, grounds)
             SELECT judged_at, incident_id, merchant_id, merchant_plugin_id, policy_version, outcome, reasons, grounds
             FROM policy_judgements, generate_series(1, 4)",
        )
        .await;
    let (mut after, mut pages, mut seen) = (Value::Null, 0, 0);
    loop {
        let asked = json!({ "policy": { "require_multisig_for_major": false }, "limit": 2, "after": after });
        let page = case
            .plane
            .ops("POST", "/api/ops/policy/dry-run", asked)
            .await
            .expect(200);
        assert_eq!((&page["differ"], &page["would_be"]["allow"]), (&json!(5), &json!(5)));
        seen += page["differences"].as_array().unwrap().len();
        pages += 1;
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!((pages, seen), (3, 5));
}
