//! Webhooks: told once what was committed, signed, tried again, given up, sent again; and nobody waits for the slow.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::net::SocketAddr;

use axum::body::Bytes;
use plugmend_control_plane::{
    domain::event::{Event, EventKind},
    jobs::{Deliveries, Reconciler as _},
    notify::{Sender, signature},
    service::deliver::Deliverer,
    store,
};
use serde_json::{Value, json};
use support::{eventually, plane::Plane, receiver::Receiver};

fn job(plane: &Plane) -> Deliveries {
    let sender = plane
        .state
        .webhooks
        .sender
        .clone()
        .within(std::time::Duration::from_secs(2));
    job_with(plane, sender)
}

fn job_with(plane: &Plane, sender: Sender) -> Deliveries {
    let state = &plane.state;
    Deliveries::new(Deliverer::new(
        state.db.clone(),
        sender,
        state.webhooks.secrets.clone(),
        state.entropy.clone(),
        state.clock.clone(),
    ))
}

async fn webhook(plane: &Plane, body: Value) -> (String, String) {
    let made = plane.ops("POST", "/api/ops/webhooks", body).await.expect(201);
    (
        made["id"].as_str().unwrap().to_owned(),
        made["secret"].as_str().unwrap().to_owned(),
    )
}

async fn for_ops(plane: &Plane, address: SocketAddr) -> (String, String) {
    let order = json!({ "event_type": "*", "url": format!("http://{address}/hook?key=s3cret") });
    webhook(plane, order).await
}

async fn tell(plane: &Plane, kind: EventKind, merchant_id: Option<plugmend_shared::ids::MerchantId>) {
    let mut tx = plane.state.db.begin().await.unwrap();
    let event = Event {
        kind,
        merchant_id,
        plugin_id: None,
        data: json!({ "n": 1 }),
    };
    store::outbox::put(&mut tx, &event).await.unwrap();
    tx.commit().await.unwrap();
}

/// Lets the job look until so many deliveries are in that state.
async fn until(plane: &Plane, job: &Deliveries, status: &str, count: i64) {
    let query = format!("SELECT count(*) FROM webhook_deliveries WHERE status = '{status}'");
    eventually(&query.clone(), || async {
        job.activate(plane.now()).await.unwrap();
        (plane.database.number(&query).await == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_committed_is_told_once_and_signed_and_what_is_not_is_never_told() {
    let plane = Plane::start().await;
    let (receiver, address) = Receiver::start(204).await;
    let (_, secret) = for_ops(&plane, address).await;
    let job = job(&plane);
    let mut undone = plane.state.db.begin().await.unwrap();
    let event = Event {
        kind: EventKind::AutopatchFailed,
        merchant_id: None,
        plugin_id: None,
        data: json!({}),
    };
    store::outbox::put(&mut undone, &event).await.unwrap();
    undone.rollback().await.unwrap();
    tell(&plane, EventKind::IncidentCreated, None).await;
    until(&plane, &job, "delivered", 1).await;
    job.activate(plane.now()).await.unwrap();
    let got = receiver.received();
    assert_eq!(got.len(), 1);
    let body: Value = serde_json::from_slice(&got[0].body).unwrap();
    assert_eq!(
        (&body["type"], &body["data"]["n"]),
        (&json!("plugin.incident_created"), &json!(1))
    );
    let wanted = signature::sign(&secret, &got[0].id, got[0].timestamp, &got[0].body);
    assert_eq!(got[0].signature, wanted);
    let view = plane.ops("GET", "/api/ops/webhooks", Value::Null).await.expect(200);
    assert_eq!(view["webhooks"][0]["success_count"], 1);
    assert!(!view.to_string().contains(&secret));
    // At rest it is encrypted, and the audit knows the host only.
    let stored = "SELECT count(*) FROM ops_webhooks WHERE secret LIKE 'enc:v1:%'";
    assert_eq!(plane.database.number(stored).await, 1);
    let leaked = "SELECT count(*) FROM plugin_audit WHERE details::text LIKE '%s3cret%'";
    assert_eq!(plane.database.number(leaked).await, 0);
}

#[tokio::test]
async fn a_merchant_is_told_of_its_own_plugins_and_what_it_asked_for_only() {
    let plane = Plane::start().await;
    let (ours, theirs) = (plane.plugin().await, plane.plugin().await);
    let (receiver, address) = Receiver::start(200).await;
    let url = format!("http://{address}/");
    let order = json!({ "merchant_id": ours.merchant_id, "event_type": "plugin.autopatch_success", "url": url });
    webhook(&plane, order.clone()).await;
    plane
        .ops("POST", "/api/ops/webhooks", order)
        .await
        .refuses(409, "already_exists");
    tell(&plane, EventKind::AutopatchSuccess, Some(theirs.merchant_id)).await;
    tell(&plane, EventKind::IncidentCreated, Some(ours.merchant_id)).await;
    tell(&plane, EventKind::AutopatchSuccess, None).await;
    tell(&plane, EventKind::AutopatchSuccess, Some(ours.merchant_id)).await;
    until(&plane, &job(&plane), "delivered", 1).await;
    let waiting = "SELECT count(*) FROM outbox_events WHERE spread_at IS NULL";
    assert_eq!(plane.database.number(waiting).await, 0);
    let body: Value = serde_json::from_slice(&receiver.received()[0].body).unwrap();
    assert_eq!(body["data"]["merchant_id"], json!(ours.merchant_id));
}

#[tokio::test]
async fn a_receiver_that_fails_for_a_day_gets_everything_in_the_end() {
    let plane = Plane::start().await;
    let (receiver, address) = Receiver::start(500).await;
    for_ops(&plane, address).await;
    let job = job(&plane);
    for _ in 0..3 {
        tell(&plane, EventKind::IncidentCreated, None).await;
    }
    for _hour in 0..24 {
        let before = receiver.received().len();
        job.activate(plane.now()).await.unwrap();
        let free = "SELECT count(*) FROM webhook_lanes WHERE leased_until IS NOT NULL";
        eventually("the lane", || async {
            (plane.database.number(free).await == 0).then_some(())
        })
        .await;
        // Left in peace: a failing receiver is asked a few times an hour, not hammered.
        assert!(receiver.received().len() - before <= 4);
        plane.advance(3600);
    }
    let states = "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'";
    assert_eq!(
        plane.database.number(states).await,
        3,
        "nothing was given up within a day"
    );
    receiver.answer(200);
    for _ in 0..12 {
        plane.advance(6 * 3600);
        job.activate(plane.now()).await.unwrap();
        let free = "SELECT count(*) FROM webhook_lanes WHERE leased_until IS NOT NULL";
        eventually("the lane", || async {
            (plane.database.number(free).await == 0).then_some(())
        })
        .await;
    }
    until(&plane, &job, "delivered", 3).await;
    let view = plane.ops("GET", "/api/ops/webhooks", Value::Null).await.expect(200);
    assert_eq!(view["webhooks"][0]["status"], "active");
    // A repeat is known by its id.
    let ids: std::collections::BTreeSet<_> = receiver.received().into_iter().map(|got| got.id).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn what_is_given_up_is_listed_and_can_be_sent_again() {
    let plane = Plane::start().await;
    let (receiver, address) = Receiver::start(302).await;
    let order =
        json!({ "event_type": "*", "url": format!("http://{address}/"), "retry_config": { "max_attempts": 1 } });
    let (id, _) = webhook(&plane, order).await;
    let job = job(&plane);
    tell(&plane, EventKind::IncidentCreated, None).await;
    until(&plane, &job, "dead", 1).await;
    let dead = plane
        .ops("GET", "/api/ops/webhook-deliveries?status=dead", Value::Null)
        .await
        .expect(200);
    let words = dead["deliveries"][0]["last_error"].as_str().unwrap();
    assert_eq!(words, "answered 302; redirects are not followed");
    assert_eq!(receiver.received().len(), 1);
    let view = plane.ops("GET", "/api/ops/webhooks", Value::Null).await.expect(200);
    assert_eq!(view["webhooks"][0]["status"], "error");
    receiver.answer(200);
    let path = format!(
        "/api/ops/webhook-deliveries/{}/replay",
        dead["deliveries"][0]["id"].as_str().unwrap()
    );
    plane.ops("POST", &path, Value::Null).await.expect(200);
    until(&plane, &job, "delivered", 1).await;
    // One that wants nothing more gets nothing more.
    receiver.answer(410);
    tell(&plane, EventKind::IncidentCreated, None).await;
    until(&plane, &job, "dead", 1).await;
    tell(&plane, EventKind::IncidentCreated, None).await;
    until(&plane, &job, "dead", 1).await;
    let path = format!("/api/ops/webhooks/{id}/active");
    plane.ops("POST", &path, json!({ "active": true })).await.expect(200);
    receiver.answer(200);
    let all = format!("/api/ops/webhooks/{id}/replay");
    assert_eq!(plane.ops("POST", &all, Value::Null).await.expect(200)["deliveries"], 1);
    until(&plane, &job, "delivered", 2).await;
}

#[tokio::test]
async fn what_a_receiver_missed_that_is_not_known_can_not_be_sent_again() {
    let plane = Plane::start().await;
    let unknown = uuid::Uuid::from_u128(7);
    for path in [
        format!("/api/ops/webhooks/{unknown}/replay"),
        format!("/api/ops/webhook-deliveries/{unknown}/replay"),
    ] {
        assert_eq!(plane.ops("POST", &path, Value::Null).await.status, 404, "{path}");
    }
    let (_, address) = Receiver::start(200).await;
    let (known, _) = for_ops(&plane, address).await;
    let path = format!("/api/ops/webhooks/{known}/replay");
    assert_eq!(plane.ops("POST", &path, Value::Null).await.expect(200)["deliveries"], 0);
}

#[tokio::test]
async fn receivers_that_hang_hold_up_nobody_else() {
    let plane = Plane::start().await;
    let (_, hanging) = Receiver::start(0).await;
    let (receiver, address) = Receiver::start(200).await;
    for n in 0..20 {
        let order = json!({ "event_type": "*", "url": format!("http://{hanging}/{n}") });
        webhook(&plane, order).await;
    }
    for_ops(&plane, address).await;
    // They get a minute each, and are still at it when the others are done.
    let sender = plane
        .state
        .webhooks
        .sender
        .clone()
        .within(std::time::Duration::from_mins(1));
    let job = job_with(&plane, sender);
    for _ in 0..10 {
        tell(&plane, EventKind::IncidentCreated, None).await;
    }
    until(&plane, &job, "delivered", 10).await;
    assert_eq!(receiver.received().len(), 10);
    let held = "SELECT count(*) FROM webhook_lanes WHERE leased_until IS NOT NULL";
    assert_eq!(plane.database.number(held).await, 20);
}

#[tokio::test]
async fn the_other_address_is_tried_when_the_first_fails() {
    let plane = Plane::start().await;
    let (first, address) = Receiver::start(500).await;
    let (second, other) = Receiver::start(200).await;
    let order = json!({ "event_type": "*", "url": format!("http://{address}/"),
                        "failover_url": format!("http://{other}/") });
    webhook(&plane, order).await;
    tell(&plane, EventKind::IncidentCreated, None).await;
    until(&plane, &job(&plane), "delivered", 1).await;
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    assert_eq!(first.received()[0].id, second.received()[0].id);
}

#[tokio::test]
async fn addresses_inside_are_not_sent_to_unless_they_are_ours() {
    let plane = Plane::start().await;
    let (receiver, address) = Receiver::start(200).await;
    for_ops(&plane, address).await;
    tell(&plane, EventKind::IncidentCreated, None).await;
    // Configured for another network: neither by name nor by number, on loopback.
    let sender = Sender::new(vec!["10.0.0.0/8".parse().unwrap()], None).unwrap();
    let job = job_with(&plane, sender.clone());
    job.activate(plane.now()).await.unwrap();
    let refused = "SELECT last_error FROM webhook_deliveries WHERE last_error IS NOT NULL LIMIT 1";
    let why = eventually("the refusal", || async {
        let rows = plane
            .database
            .number("SELECT count(*) FROM webhook_deliveries WHERE last_error IS NOT NULL")
            .await;
        if rows == 0 {
            None
        } else {
            plane.database.text(refused).await
        }
    })
    .await;
    assert!(why.contains("may not be called"), "{why}");
    assert!(!why.contains("s3cret"));
    assert!(receiver.received().is_empty());
    for inside in [
        "https://localhost",
        "https://127.0.0.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://169.254.169.254",
    ] {
        let message = plugmend_control_plane::notify::Message {
            id: "msg_1".to_owned(),
            timestamp: 1,
            body: Bytes::new(),
        };
        let tried = sender
            .send(&format!("{inside}:{}/", address.port()), "whsec_eA==", &message)
            .await;
        assert!(
            matches!(
                &tried.outcome,
                plugmend_control_plane::domain::delivery::Outcome::Failed { status: None, .. }
            ),
            "{inside}: {tried:?}"
        );
    }
    assert!(receiver.received().is_empty());
    // What could never be sent to is refused when it is asked for.
    let strict = Sender::new(Vec::new(), None).unwrap();
    for never in [
        "http://shop.example/",
        "ftp://shop.example",
        "https://ada:pw@shop.example/",
        "https://",
    ] {
        assert!(strict.check(never).is_err(), "{never}");
    }
    assert!(strict.check("https://shop.example/hook").is_ok());
    let order = json!({ "event_type": "everything", "url": "https://shop.example/" });
    plane
        .ops("POST", "/api/ops/webhooks", order)
        .await
        .refuses(400, "invalid_field");
}

#[tokio::test]
async fn secrets_of_the_reference_system_are_encrypted_and_still_sign() {
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let (receiver, address) = Receiver::start(200).await;
    plane
        .database
        .run(&format!(
            "INSERT INTO merchant_webhooks (merchant_id, event_type, url, secret)
             VALUES ('{}', 'plugin.autopatch_success', 'http://{address}/', 'an old secret')",
            plugin.merchant_id
        ))
        .await;
    let state = &plane.state;
    let deliverer = Deliverer::new(
        state.db.clone(),
        state.webhooks.sender.clone(),
        state.webhooks.secrets.clone(),
        state.entropy.clone(),
        state.clock.clone(),
    );
    assert_eq!(deliverer.seal_secrets().await.unwrap(), 1);
    assert_eq!(deliverer.seal_secrets().await.unwrap(), 0);
    tell(&plane, EventKind::AutopatchSuccess, Some(plugin.merchant_id)).await;
    until(&plane, &job(&plane), "delivered", 1).await;
    let got = &receiver.received()[0];
    assert_eq!(
        got.signature,
        signature::sign("an old secret", &got.id, got.timestamp, &got.body)
    );
    let clear = "SELECT count(*) FROM merchant_webhooks WHERE secret LIKE '%old%'";
    assert_eq!(plane.database.number(clear).await, 0);
}
