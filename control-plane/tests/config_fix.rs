//! Settings as a cure: named by the signed manifest, tried, and put back when they do harm.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::{
    domain::decision::{Action, Decision},
    service::decide::decide,
    sira::Sira,
};
use plugmend_shared::decide::RemedySource;
use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{attempt, incident, sick},
};

/// What the manifest of the installed release says.
async fn declare(case: &Case, manifest: &Value) {
    let text = manifest.to_string().replace('\'', "''");
    let sql = format!("UPDATE releases SET manifest = '{text}' WHERE version = '1.2.2'");
    case.plane.database.run(&sql).await;
}

fn manifest() -> Value {
    json!({
        "settings": { "file": "settings.json", "keys": {
            "timeout_ms": { "type": "integer", "min": 100.0, "max": 60_000.0 },
            "payout_iban": { "type": "text", "host_only": true },
        } },
        "remedies": [
            { "against": "error_spike", "settings": { "timeout_ms": 200 } },
            { "against": "webhook_fail_rate", "settings": { "timeout_ms": 20_000 } },
            { "against": "webhook_fail_rate", "settings": { "payout_iban": "DE00" } },
        ],
    })
}

async fn decided(case: &Case) -> Decision {
    let id = incident(&case.plane, "id").await.parse().unwrap();
    let (db, now) = (&case.plane.state.db, case.plane.now());
    let recorded = decide(db, &Sira::new(None), id, [7; 10], now).await.unwrap();
    let remedies = recorded.question.historical_data.remedies;
    assert!(remedies.iter().all(|remedy| remedy.source == RemedySource::Declared));
    recorded.decided.decision
}

#[tokio::test]
async fn a_remedy_of_the_signed_manifest_is_what_is_decided() {
    let mut case = Case::begin().await;
    declare(&case, &manifest()).await;
    case.beat(sick()).await;
    let decision = decided(&case).await;
    assert_eq!(decision.action, Action::ConfigFix, "{}", decision.explanation);
    assert_eq!(Value::Object(decision.config.unwrap()), json!({ "timeout_ms": 20_000 }));
    assert!(
        decision.explanation.contains("signed manifest"),
        "{}",
        decision.explanation
    );
}

#[tokio::test]
async fn without_a_remedy_for_this_no_setting_is_touched() {
    let mut case = Case::begin().await;
    let mut other = manifest();
    other["remedies"].as_array_mut().unwrap().remove(1);
    declare(&case, &other).await;
    case.beat(sick()).await;
    assert_eq!(decided(&case).await.action, Action::NotifyOps);
}

#[tokio::test]
async fn settings_that_make_it_worse_are_put_back() {
    for (before, then) in [
        (json!({ "timeout_ms": 3_000 }), "rolled_back worse"),
        (Value::Null, "failed not_undone"),
    ] {
        let mut case = Case::begin().await;
        declare(&case, &manifest()).await;
        let window = |case: &Case, seq: u64, errors: u64| {
            let to = case.plane.now() + jiff::SignedDuration::from_secs(120);
            json!([{ "seq": seq, "from": to - jiff::SignedDuration::from_secs(100), "to": to, "requests": 200,
                "errors": errors, "webhook_total": 0, "webhook_failed": 0 }])
        };
        case.beat(json!({ "windows": window(&case, 1, 0) })).await;
        case.beat(sick()).await;
        case.loops.decider.say(decided(&case).await);
        case.turn().await;
        let order = case.order().await;
        assert_eq!(
            (&order["type"], &order["payload"]["config"]),
            (&json!("config_update"), &json!({ "timeout_ms": 20_000 })),
            "{}",
            attempt(&case.plane, "status || logs::text").await
        );
        let result = json!({ "status": "committed", "version": "1.2.2", "health_check_passed": null,
            "settings_before": before });
        case.say(&order, "ack", json!({ "result": result })).await;
        case.turn().await;
        let windows = window(&case, 2, 150);
        case.beat(json!({ "windows": windows })).await;
        case.turn().await;
        assert_eq!(attempt(&case.plane, "status || ' ' || end_reason").await, then);
        let back = case.order().await;
        if before.is_null() {
            assert_eq!(incident(&case.plane, "status").await, "escalated");
            assert_eq!(back, Value::Null);
        } else {
            assert_eq!(
                (&back["type"], &back["payload"]["config"]),
                (&json!("config_update"), &before)
            );
        }
    }
}

#[tokio::test]
async fn settings_that_the_runbook_takes_back_are_put_back_and_no_release_is() {
    let mut case = Case::begin().await;
    declare(&case, &manifest()).await;
    case.beat(sick()).await;
    case.loops.decider.say(decided(&case).await);
    case.turn().await;
    let order = case.order().await;
    let result = json!({ "status": "committed", "version": "1.2.2", "settings_before": { "timeout_ms": null } });
    case.say(&order, "ack", json!({ "result": result })).await;
    case.turn().await;
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "success");
    case.plane
        .database
        .run(
            "UPDATE plugin_autopatch_attempts SET status = 'rolled_back', rollback_reason = 'by hand', rolled_back_at = now()
             WHERE status = 'success'",
        )
        .await;
    let back = case.order().await;
    assert_eq!(
        (&back["type"], &back["payload"]["config"]),
        (&json!("config_update"), &json!({ "timeout_ms": null }))
    );
}
