//! What can not be read or is too much is refused in one shape: `application/problem+json`.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::num::NonZeroU32;

use axum::{Router, routing::get};
use governor::Quota;
use plugmend_control_plane::http::{
    AppState,
    auth::{guarded, rates::CallerRates},
};
use serde_json::{Value, json};
use support::{people, plane::Plane};

#[tokio::test]
async fn whatever_can_not_be_read_is_a_problem() {
    let plane = Plane::start().await;
    let bearer = format!("Bearer {}", plane.token);
    let send = async |method: &str, path: &str, type_of: &str, body: String| {
        let headers = [("authorization", bearer.as_str()), ("content-type", type_of)];
        plane.api.send_with(method, path, &headers, body).await
    };
    let json = "application/json";
    let id = "0198c0de-0000-7000-8000-0000000000ff";
    let merchants = "/api/ops/merchants";
    let approve = format!("/api/ops/plugin-incidents/{id}/approve");
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(5 << 20));
    let deep = "[".repeat(100_000);
    for (method, path, type_of, body, status) in [
        ("GET", "/api/ops/nothing", json, String::new(), 404),
        ("GET", "/nowhere", json, String::new(), 404),
        ("DELETE", merchants, json, String::new(), 405),
        ("GET", "/api/ops/plugins/%FF", json, String::new(), 400),
        (
            "GET",
            "/api/ops/webhook-deliveries?status=%00",
            json,
            String::new(),
            400,
        ),
        ("GET", "/api/ops/merchants?limit=many", json, String::new(), 400),
        ("GET", "/api/ops/merchants?after=%FF", json, String::new(), 400),
        ("POST", merchants, json, "{".to_owned(), 400),
        ("POST", merchants, json, "{\"name\": \"a\\u0000b\"}".to_owned(), 400),
        ("POST", merchants, json, "{\"name\": 7}".to_owned(), 400),
        ("POST", merchants, json, deep, 400),
        ("POST", merchants, json, long.clone(), 413),
        ("POST", approve.as_str(), json, long, 413),
        ("POST", merchants, "text/xml", "<name/>".to_owned(), 415),
    ] {
        let answer = send(method, path, type_of, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(
            answer.headers["content-type"], "application/problem+json",
            "{method} {path}"
        );
        assert_eq!(answer.body["status"], status, "{method} {path}");
        assert!(!answer.code().is_empty(), "{method} {path}");
    }
    plane.stop().await;
}

#[tokio::test]
async fn a_person_who_asks_too_much_waits_and_nobody_else_does() {
    let mut plane = Plane::start().await;
    // A token comes back once an hour: no machine is so slow.
    let hourly = Quota::with_period(std::time::Duration::from_hours(1)).unwrap();
    let rates = CallerRates::new(
        hourly.allow_burst(NonZeroU32::new(2).unwrap()),
        hourly.allow_burst(NonZeroU32::new(1).unwrap()),
    );
    let routes: Router<AppState> = Router::new()
        .route("/api/ops/merchants", get(async || "here").post(async || "done"))
        .route("/healthz", get(async || "ok"));
    let api = plane.serve(guarded(routes, &plane.state, rates).with_state(plane.state.clone()));
    let token = |who: &str| people::sign(&people::claims(who, &["pay_admin"], plane.now()));
    let (ada, bob) = (token("ada"), token("bob"));
    for _ in 0..2 {
        assert_eq!(api.send("GET", "/api/ops/merchants", &ada, "").await.status, 200);
    }
    let late = api.send("GET", "/api/ops/merchants", &ada, "").await;
    late.refuses(429, "rate_limited");
    let wait: u64 = late.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    // Writes are counted apart, another person is another one, and whoever has no token is not counted as anybody.
    assert_eq!(api.send("POST", "/api/ops/merchants", &ada, "").await.status, 200);
    api.send("POST", "/api/ops/merchants", &ada, "")
        .await
        .refuses(429, "rate_limited");
    assert_eq!(api.send("GET", "/api/ops/merchants", &bob, "").await.status, 200);
    api.send("GET", "/api/ops/merchants", "forged", "")
        .await
        .refuses(401, "unauthorized");
    assert_eq!(api.send("GET", "/healthz", "", "").await.status, 200);
    plane.stop().await;
}

#[tokio::test]
async fn what_is_said_comes_back_as_text_and_does_nothing_else() {
    let plane = Plane::start().await;
    for hostile in [
        "'; DROP TABLE merchants; --",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "a\r\nset-cookie: b=c",
        "${jndi:ldap://x}",
        "\u{202e}\u{0}x".trim_end_matches('x'),
    ] {
        let answer = plane
            .ops("POST", "/api/ops/merchants", json!({ "name": hostile }))
            .await;
        if hostile.contains('\0') {
            answer.refuses(400, "malformed_json");
            continue;
        }
        let stored = answer.expect(201);
        assert_eq!(stored["name"], hostile);
        let shown = plane.ops(
            "GET",
            &format!("/api/ops/merchants/{}", stored["id"].as_str().unwrap()),
            Value::Null,
        );
        assert_eq!(shown.await.expect(200)["name"], hostile);
    }
    plane.stop().await;
}
