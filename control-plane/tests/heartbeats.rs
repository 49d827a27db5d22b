//! Heartbeats, over a real listener and a real database: who may send them, what is believed, what is kept.

mod support;

use jiff::SignedDuration;
use serde_json::{Value, json};
use support::plane::{Plane, Plugin};

const PATH: &str = "/api/plugins/heartbeat";

async fn beat(plane: &Plane, plugin: &Plugin, body: &Value) -> support::http::Answer {
    plane.api.send("POST", PATH, &plugin.secret, body.to_string()).await
}

#[tokio::test]
async fn a_heartbeat_in_the_reference_shape_is_kept_before_it_is_answered() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let answer = beat(&plane, &plugin, &plugin.beat(plane.now())).await.expect(200);
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["commands"], json!([]));
    assert_eq!(answer["tuning"]["heartbeat_interval_s"], 120);
    let kept = plane
        .database
        .text("SELECT plugin_version || ' ' || error_count_24h || ' ' || (telemetry ->> 'webhook_fail_rate') FROM merchant_plugins")
        .await;
    assert_eq!(kept.as_deref(), Some("1.0.0 5 0.25"));
}

#[tokio::test]
async fn a_heartbeat_without_its_fields_is_refused_in_the_reference_words() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    for field in ["plugin_id", "merchant_id", "plugin_version"] {
        let mut body = plugin.beat(plane.now());
        body.as_object_mut().unwrap().remove(field);
        beat(&plane, &plugin, &body)
            .await
            .refuses(400, "missing_required_fields");
    }
}

#[tokio::test]
async fn only_the_plugins_own_secret_opens() {
    let plane = Plane::start().await;
    let (plugin, other) = (plane.plugin().await, plane.plugin().await);
    let body = plugin.beat(plane.now());
    let old_style = format!("{}:{}", plugin.id, plugin.merchant_id);
    for forged in [
        "",
        "x",
        &other.secret,
        &old_style,
        &plugin.secret.to_uppercase(),
        &"a".repeat(5000),
    ] {
        let answer = plane.api.send("POST", PATH, forged, body.to_string()).await;
        answer.refuses(401, "unauthorized_plugin");
    }
    let mut foreign = body.clone();
    foreign["merchant_id"] = json!(other.merchant_id);
    beat(&plane, &plugin, &foreign)
        .await
        .refuses(401, "unauthorized_plugin");
    let mut unknown = body.clone();
    unknown["plugin_id"] = json!(other.merchant_id);
    beat(&plane, &plugin, &unknown)
        .await
        .refuses(401, "unauthorized_plugin");
    beat(&plane, &plugin, &body).await.expect(200);
    // What is stored is a hash.
    let stored = plane
        .database
        .text("SELECT string_agg(encode(secret_hash, 'escape'), '') FROM merchant_plugins")
        .await;
    assert!(!stored.unwrap().contains(&plugin.secret));
}

#[tokio::test]
async fn a_rotated_secret_is_taken_until_its_overlap_ends() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let path = format!("/api/ops/plugins/{}/secret", plugin.id);
    let rotated = plane.ops("POST", &path, json!({ "overlap_s": 600 })).await.expect(201);
    let new = Plugin {
        secret: rotated["plugin_secret"].as_str().unwrap().to_owned(),
        ..plugin.clone()
    };
    beat(&plane, &plugin, &plugin.beat(plane.now())).await.expect(200);
    beat(&plane, &new, &plugin.beat(plane.now())).await.expect(200);
    plane.advance(601);
    beat(&plane, &plugin, &plugin.beat(plane.now()))
        .await
        .refuses(401, "unauthorized_plugin");
    beat(&plane, &new, &plugin.beat(plane.now())).await.expect(200);
}

#[tokio::test]
async fn a_plugin_with_an_agent_can_not_use_a_secret() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    beat(&plane, &plugin, &plugin.beat(plane.now()))
        .await
        .refuses(401, "unauthorized_plugin");
    let path = format!("/api/ops/plugins/{}/secret", plugin.id);
    plane
        .ops("POST", &path, Value::Null)
        .await
        .refuses(409, "agent_managed");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn what_can_not_be_is_refused_and_nothing_is_kept() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let now = plane.now();
    let day = SignedDuration::from_hours(25);
    let with = |field: &str, value: Value| {
        let mut body = plugin.agent_beat(now, 1, &[(1, 0)]);
        body[field] = value;
        body
    };
    let window = |change: Value| {
        let mut body = plugin.agent_beat(now, 1, &[(1, 0)]);
        body["windows"][0]
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        body
    };
    for (body, code) in [
        (with("webhook_fail_rate", json!(1.5)), "invalid_field"),
        (with("webhook_fail_rate", json!(-0.1)), "invalid_field"),
        (with("errors_last_24h", json!(-1)), "invalid_field"),
        (with("errors_last_24h", json!(u64::MAX)), "invalid_field"),
        (with("plugin_version", json!("")), "invalid_field"),
        (with("plugin_version", json!("9".repeat(100))), "invalid_field"),
        (with("env", json!({ "x": "y".repeat(20_000) })), "invalid_field"),
        (with("timestamp", json!(now + day)), "clock_skew"),
        (with("timestamp", json!(now - day)), "clock_skew"),
        (
            with(
                "windows",
                plugin.agent_beat(now, 1, &vec![(1, 0); 257])["windows"].clone(),
            ),
            "invalid_field",
        ),
        (window(json!({ "requests": -1 })), "invalid_field"),
        (window(json!({ "webhook_failed": 5 })), "invalid_window"),
        (window(json!({ "from": now, "to": now - day })), "invalid_window"),
        (window(json!({ "from": now + day, "to": now + day })), "invalid_window"),
        (
            window(json!({ "from": now - day * 8, "to": now - day * 8 })),
            "invalid_window",
        ),
        (window(json!({ "custom": { "x": "NaN" } })), "invalid_field"),
    ] {
        let answer = gateway.send("POST", PATH, "", body.to_string()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, code),
            "{body} gave {}",
            answer.body
        );
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = plugin
        .beat(now)
        .to_string()
        .replace("{\"node\":\"22\"}", &format!("{{\"x\":{nested}}}"));
    let not_a_number = plugin.beat(now).to_string().replace("0.25", "NaN");
    for text in [deep, not_a_number, "{\"plugin_id\":".to_owned(), String::new()] {
        gateway
            .send("POST", PATH, "", text)
            .await
            .refuses(400, "malformed_json");
    }
    gateway
        .send("POST", PATH, "", vec![0xff, 0xfe, b'{', b'}'])
        .await
        .refuses(400, "malformed_json");
    gateway
        .send("POST", PATH, "", vec![b' '; 1024 * 1024 + 1])
        .await
        .refuses(413, "body_too_large");
    assert_eq!(plane.database.number("SELECT count(*) FROM plugin_telemetry").await, 0);
    assert_eq!(
        plane
            .database
            .number("SELECT count(last_heartbeat) FROM merchant_plugins")
            .await,
        0
    );
    gateway
        .send("POST", PATH, "", plugin.agent_beat(now, 1, &[(1, 0)]).to_string())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_clock_that_is_off_by_less_than_a_day_is_borne() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    for (seq, hours) in [(1, -23), (2, 23)] {
        let theirs = plane.now() + SignedDuration::from_hours(hours);
        let body = plugin.agent_beat(theirs, seq, &[(seq, 0)]);
        gateway.send("POST", PATH, "", body.to_string()).await.expect(200);
    }
    assert_eq!(plane.database.number("SELECT count(*) FROM plugin_telemetry").await, 2);
}

#[tokio::test]
async fn repeats_and_stragglers_change_nothing() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let now = plane.now();
    let first = plugin.agent_beat(now, 7, &[(1, 2), (2, 1)]);
    let mut second = plugin.agent_beat(now, 8, &[(3, 0)]);
    second["plugin_version"] = json!("1.1.0");
    for body in [&first, &first, &second, &first, &second] {
        gateway.send("POST", PATH, "", body.to_string()).await.expect(200);
    }
    assert_eq!(plane.database.number("SELECT count(*) FROM plugin_telemetry").await, 3);
    assert_eq!(
        plane
            .database
            .number("SELECT sum(requests) FROM plugin_telemetry")
            .await,
        300
    );
    let version = plane
        .database
        .text("SELECT plugin_version || ' ' || heartbeat_seq FROM merchant_plugins")
        .await;
    assert_eq!(version.as_deref(), Some("1.1.0 8"));
}

#[tokio::test]
async fn spooled_windows_keep_their_own_times_in_whatever_order_they_come() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let now = plane.now();
    let three_days = 3 * 24 * 60;
    for (seq, windows) in [(1, vec![(9, 0)]), (2, vec![(2, three_days), (1, three_days + 1)])] {
        gateway
            .send("POST", PATH, "", plugin.agent_beat(now, seq, &windows).to_string())
            .await
            .expect(200);
    }
    let order = plane
        .database
        .text("SELECT string_agg(seq::text, ' ' ORDER BY window_from) FROM plugin_telemetry")
        .await;
    assert_eq!(order.as_deref(), Some("1 2 9"));
    let oldest = plane
        .database
        .text("SELECT min(window_to) = max(received_at) - interval '4321 minutes' FROM plugin_telemetry");
    assert_eq!(oldest.await.as_deref(), Some("true"));
}

#[tokio::test]
async fn an_agent_that_lost_its_counter_is_heard_again() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    gateway
        .send(
            "POST",
            PATH,
            "",
            plugin.agent_beat(plane.now(), 500, &[(500, 0)]).to_string(),
        )
        .await
        .expect(200);
    plane.advance(60);
    let mut anew = plugin.agent_beat(plane.now(), 1, &[(1, 0)]);
    anew["boot_id"] = json!("0198c0de-0000-7000-8000-00000000b008");
    gateway.send("POST", PATH, "", anew.to_string()).await.expect(200);
    assert_eq!(
        plane
            .database
            .number("SELECT heartbeat_seq FROM merchant_plugins")
            .await,
        1
    );
    assert_eq!(plane.database.number("SELECT count(*) FROM plugin_telemetry").await, 2);
}

#[tokio::test]
async fn an_agent_speaks_for_its_own_plugin_only() {
    let mut plane = Plane::start().await;
    let (plugin, other) = (plane.agent_plugin().await, plane.agent_plugin().await);
    let gateway = plane.gateway(&plugin);
    let foreign = other.agent_beat(plane.now(), 1, &[]).to_string();
    gateway
        .send("POST", PATH, "", foreign)
        .await
        .refuses(403, "foreign_plugin");
}

#[tokio::test]
async fn no_text_that_a_plugin_can_write_silences_its_agent() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let mut body = plugin.agent_beat(plane.now(), 1, &[(1, 0)]);
    body["env"] = json!({ "escaped": r"\u0000", "nul": "a\u{0}b" });
    gateway.send("POST", PATH, "", body.to_string()).await.expect(200);
    let env = "SELECT telemetry -> 'env' ->> 'escaped' || ' ' || (telemetry -> 'env' ->> 'nul') FROM merchant_plugins";
    assert_eq!(plane.database.text(env).await.as_deref(), Some("\\u0000 a\u{fffd}b"));
}

#[tokio::test]
async fn a_plugin_in_somebody_elses_hands_holds_up_no_other() {
    let mut plane = Plane::start().await;
    let (held, free) = (plane.agent_plugin().await, plane.agent_plugin().await);
    let (held_gateway, free_gateway) = (plane.gateway(&held), plane.gateway(&free));
    let mut somebody = plane.database.db.begin().await.unwrap();
    let sql = format!(
        "UPDATE merchant_plugins SET status = 'disabled' WHERE id = '{}'",
        held.id
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&mut *somebody)
        .await
        .unwrap();
    let beat = |plugin: &Plugin, seq| plugin.agent_beat(plane.now(), seq, &[(1, 0)]).to_string();
    let (kept_out, let_in) = tokio::join!(
        held_gateway.send("POST", PATH, "", beat(&held, 1)),
        free_gateway.send("POST", PATH, "", beat(&free, 1)),
    );
    let_in.expect(200);
    assert_eq!(kept_out.status, 503);
    free_gateway.send("POST", PATH, "", beat(&free, 2)).await.expect(200);
    somebody.rollback().await.unwrap();
    held_gateway.send("POST", PATH, "", beat(&held, 1)).await.expect(200);
}
