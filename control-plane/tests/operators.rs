//! People: tokens, roles, writes that are done once, and a trail of everything.

mod support;

use serde_json::{Value, json};
use support::{people, plane::Plane};

const MERCHANTS: &str = "/api/ops/merchants";

async fn with_token(plane: &Plane, token: &str) -> support::http::Answer {
    plane.api.send("GET", "/api/ops/plugins", token, "").await
}

#[tokio::test]
async fn only_a_good_token_of_molam_id_opens() {
    let plane = Plane::start().await;
    let now = plane.now();
    let good = people::claims("ada", &["pay_admin"], now);
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        people::sign(&claims)
    };
    let without = |field: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(field);
        people::sign(&claims)
    };
    let mut tampered = people::sign(&good);
    let dot = tampered.find('.').unwrap();
    tampered.replace_range(
        dot + 5..dot + 6,
        if &tampered[dot + 5..dot + 6] == "A" { "B" } else { "A" },
    );
    let second = now.as_second();
    for (token, why) in [
        (String::new(), "none"),
        ("x.y.z".to_owned(), "no token"),
        (tampered, "tampered"),
        (people::sign_as(&json!({ "alg": "none" }), &good), "alg none"),
        (people::sign_as(&json!({ "alg": "HS256" }), &good), "alg HS256"),
        (people::sign_as(&json!({ "alg": "EdDSA" }), &good), "alg EdDSA"),
        (with("iss", json!("someone-else")), "issuer"),
        (without("iss"), "no issuer"),
        (without("exp"), "no expiry"),
        (without("sub"), "no subject"),
        (with("exp", json!(second - 31)), "expired"),
        (with("nbf", json!(second + 31)), "not yet"),
        (with("locale", json!("x".repeat(9000))), "too long"),
    ] {
        let answer = with_token(&plane, &token).await;
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthorized"),
            "{why}: {}",
            answer.body
        );
    }
    with_token(&plane, &people::sign(&good)).await.expect(200);
    with_token(&plane, &with("exp", json!(second - 29))).await.expect(200);
}

#[tokio::test]
async fn roles_decide() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let token = |roles: &[&str]| people::sign(&people::claims("eve", roles, plane.now()));
    with_token(&plane, &token(&[])).await.refuses(403, "forbidden");
    with_token(&plane, &token(&["merchant_admin", "PAY_ADMIN"]))
        .await
        .refuses(403, "forbidden");
    let watcher = token(&["compliance_ops"]);
    with_token(&plane, &watcher).await.expect(200);
    for (path, body) in [
        (MERCHANTS.to_owned(), json!({ "name": "Shop" })),
        (
            "/api/ops/plugins".to_owned(),
            json!({ "merchant_id": plugin.merchant_id, "cms": "node" }),
        ),
        (
            format!("/api/ops/plugins/{}/commands", plugin.id),
            json!({ "type": "restart" }),
        ),
        (format!("/api/ops/plugins/{}/secret", plugin.id), json!({})),
    ] {
        plane
            .api
            .send("POST", &path, &watcher, body.to_string())
            .await
            .refuses(403, "forbidden");
    }
}

#[tokio::test]
async fn a_write_with_a_key_is_done_once() {
    let plane = Plane::start().await;
    let send = |key: &'static str, name: &'static str| {
        let authorization = format!("Bearer {}", plane.token);
        let api = plane.api.clone();
        async move {
            let headers = [("authorization", authorization.as_str()), ("idempotency-key", key)];
            api.send_with("POST", MERCHANTS, &headers, json!({ "name": name }).to_string())
                .await
        }
    };
    let (a, b, c) = tokio::join!(send("k", "Shop"), send("k", "Shop"), send("k", "Shop"));
    let (a, b, c) = (a.expect(201), b.expect(201), c.expect(201));
    assert!(a == b && b == c);
    assert_eq!(plane.database.number("SELECT count(*) FROM merchants").await, 1);
    send("k", "Other").await.refuses(409, "idempotency_key_reused");
    assert_ne!(send("l", "Shop").await.expect(201), a);
    send("k", "Shop").await.expect(201);
    let authorization = format!("Bearer {}", plane.token);
    let long = "k".repeat(129);
    let headers = [
        ("authorization", authorization.as_str()),
        ("idempotency-key", long.as_str()),
    ];
    let answer = plane
        .api
        .send_with("POST", MERCHANTS, &headers, "{\"name\": \"Shop\"}")
        .await;
    answer.refuses(400, "invalid_idempotency_key");
}

#[tokio::test]
async fn every_write_leaves_an_entry_without_secrets() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let order = json!({ "type": "config_update", "config": { "api_key": "hush" } });
    plane
        .ops("POST", &format!("/api/ops/plugins/{}/commands", plugin.id), order)
        .await
        .expect(201);
    let actions =
        "SELECT string_agg(action || ' ' || actor_type || ' ' || actor_id, ',' ORDER BY action) FROM plugin_audit";
    let wanted =
        "command_created ops ada,merchant_created ops ada,plugin_created ops ada,plugin_secret_rotated ops ada";
    assert_eq!(plane.database.text(actions).await.as_deref(), Some(wanted));
    let details = plane
        .database
        .text("SELECT string_agg(details::text, '') FROM plugin_audit")
        .await
        .unwrap();
    assert!(!details.contains("hush") && !details.contains(&plugin.secret));
    assert!(details.contains("api_key"));
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let path = format!("/api/ops/plugins/{}/commands", plugin.id);
    for (order, status, code) in [
        (json!({}), 400, "missing_required_fields"),
        (json!({ "type": "explode" }), 400, "invalid_field"),
        (json!({ "type": "update" }), 400, "invalid_command"),
        (
            json!({ "type": "update", "version": "not semver" }),
            400,
            "invalid_field",
        ),
        (json!({ "type": "config_update" }), 400, "invalid_command"),
        (
            json!({ "type": "restart", "config": { "a": 1 } }),
            400,
            "invalid_command",
        ),
        (json!({ "type": "restart", "max_retries": 11 }), 400, "invalid_command"),
        (json!({ "type": "restart", "expires_in_s": 0 }), 400, "invalid_command"),
        (
            json!({ "type": "restart", "expires_in_s": 8 * 86400 }),
            400,
            "invalid_command",
        ),
        (
            json!({ "type": "restart", "reason": "x".repeat(1001) }),
            400,
            "invalid_command",
        ),
    ] {
        plane.ops("POST", &path, order).await.refuses(status, code);
    }
    let nobody = format!("/api/ops/plugins/{}/commands", plugin.merchant_id);
    plane
        .ops("POST", &nobody, json!({ "type": "restart" }))
        .await
        .refuses(404, "unknown_plugin");
    assert_eq!(
        plane
            .database
            .number("SELECT count(*) FROM plugin_agent_commands")
            .await,
        0
    );
}

#[tokio::test]
async fn lists_page_by_cursor() {
    let plane = Plane::start().await;
    for _ in 0..5 {
        plane.plugin().await;
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut path = "/api/ops/plugins?limit=2".to_owned();
    for page in 0.. {
        let list = plane.ops("GET", &path, Value::Null).await.expect(200);
        for plugin in list["plugins"].as_array().unwrap() {
            assert!(seen.insert(plugin["id"].as_str().unwrap().to_owned()), "seen twice");
        }
        let Some(next) = list["next"].as_str() else { break };
        path = format!("/api/ops/plugins?limit=2&after={next}");
        assert!(page < 5, "no end");
    }
    assert_eq!(seen.len(), 5);
    plane
        .ops("GET", "/api/ops/plugins?limit=x", Value::Null)
        .await
        .refuses(400, "invalid_query");
    plane
        .ops("GET", "/api/ops/plugins/none", Value::Null)
        .await
        .refuses(404, "unknown_plugin");
    let one = plane
        .ops(
            "GET",
            &format!("/api/ops/plugins/{}", seen.first().unwrap()),
            Value::Null,
        )
        .await
        .expect(200);
    assert_eq!(one["cms"], "node");
}

#[tokio::test]
async fn what_nobody_serves_is_a_problem_too() {
    let plane = Plane::start().await;
    plane
        .ops("GET", "/nothing", Value::Null)
        .await
        .refuses(404, "unknown_path");
    plane
        .ops("DELETE", MERCHANTS, Value::Null)
        .await
        .refuses(405, "method_not_allowed");
    let answer = plane
        .api
        .send_with("GET", "/healthz", &[("x-request-id", "abc-1")], "")
        .await;
    assert_eq!(
        (answer.status, &answer.headers["x-request-id"]),
        (200, &hyper::header::HeaderValue::from_static("abc-1"))
    );
}

#[tokio::test]
async fn what_a_merchant_wishes_is_kept_told_and_checked() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let path = format!("{MERCHANTS}/{}", plugin.merchant_id);
    let wish = |body: Value| {
        let path = format!("{path}/wishes");
        let plane = &plane;
        async move { plane.ops("POST", &path, body).await }
    };
    let nights = json!({ "days": [1, 2], "from": "22:00", "to": "05:00", "utc_offset_minutes": 60 });
    let stands = wish(json!({ "opt_out": true, "maintenance_window": nights }))
        .await
        .expect(200);
    assert_eq!(
        (&stands["autopatch_opt_out"], &stands["maintenance_window"]),
        (&json!(true), &nights)
    );
    // What is not named stays.
    wish(json!({ "opt_out": false })).await.expect(200);
    assert_eq!(
        plane.ops("GET", &path, Value::Null).await.expect(200)["maintenance_window"],
        nights
    );
    let open = wish(json!({ "maintenance_window": null })).await.expect(200);
    assert_eq!(
        (&open["autopatch_opt_out"], &open["maintenance_window"]),
        (&json!(false), &Value::Null)
    );
    for bad in [
        json!({ "maintenance_window": { "from": "25:00", "to": "05:00" } }),
        json!({ "maintenance_window": { "from": "22:00", "to": "05:00", "days": [8] } }),
        json!({ "maintenance_window": { "from": "22:00", "to": "05:00", "utc_offset_minutes": 9000 } }),
    ] {
        wish(bad).await.refuses(400, "invalid_field");
    }
    wish(json!({})).await.refuses(400, "missing_required_fields");
    let nobody = format!("{MERCHANTS}/{}/wishes", plugin.id);
    plane
        .ops("POST", &nobody, json!({ "opt_out": true }))
        .await
        .refuses(404, "unknown_merchant");
    let watcher = people::sign(&people::claims("eve", &["compliance_ops"], plane.now()));
    let refused = plane
        .api
        .send("POST", &format!("{path}/wishes"), &watcher, "{\"opt_out\": true}")
        .await;
    refused.refuses(403, "forbidden");
    let told = "SELECT count(*) FROM plugin_audit WHERE action = 'merchant_wishes_changed' AND actor_id = 'ada'";
    assert_eq!(plane.database.number(told).await, 3);
    let list = plane.ops("GET", MERCHANTS, Value::Null).await.expect(200);
    assert_eq!(list["merchants"].as_array().unwrap().len(), 1);
}
