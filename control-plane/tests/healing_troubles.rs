//! The healing loop while others fail it: a SIRA that is down, slow or talks rubbish, a staging runner that is down or says
//! what is none of its words, receivers that hang, redirect, or fail for a day. The loop goes on, nothing is lost, and
//! people are told.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use plugmend_control_plane::{
    jobs::{Deliveries, Reconciler as _},
    outgoing::HttpClient,
    service::{decide::DecisionDesk, deliver::Deliverer},
    sira::{External, Sira},
};
use serde_json::{Value, json};
use support::{
    case::Case,
    eventually,
    healing::{HANGS, Loop, PASSES, attempt, incident, sick},
    plane::Plane,
    receiver::Receiver,
    sira::{FakeSira, Manner},
};

/// Long enough for a busy machine, short enough to wait for who hangs.
const WITHIN: Duration = Duration::from_secs(2);

fn deliveries(plane: &Plane) -> Deliveries {
    let state = &plane.state;
    Deliveries::new(Deliverer::new(
        state.db.clone(),
        state.webhooks.sender.clone().within(WITHIN),
        state.webhooks.secrets.clone(),
        state.entropy.clone(),
        state.clock.clone(),
    ))
}

/// Has everybody told who can be at this moment.
async fn tell(plane: &Plane, job: &Deliveries) {
    let busy = "SELECT (SELECT count(*) FROM webhook_lanes WHERE leased_until IS NOT NULL)
                     + (SELECT count(*) FROM outbox_events WHERE spread_at IS NULL)";
    eventually("the lanes", || async {
        job.activate(plane.now()).await.unwrap();
        (plane.database.number(busy).await == 0).then_some(())
    })
    .await;
}

/// From sick to cured; how many events there were.
async fn heal(case: &mut Case) -> i64 {
    let order = case.ordered().await;
    case.committed(&order).await;
    case.turn().await;
    case.beat(json!({ "plugin_version": "1.2.3" })).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "success");
    case.count("outbox_events").await
}

#[tokio::test]
async fn beside_receivers_that_hang_redirect_or_fail_for_a_day_it_heals_and_everybody_hears_of_it_once() {
    let mut case = Case::begin().await;
    let mut bad = Vec::new();
    for status in [0, 307, 500] {
        let (receiver, address) = Receiver::start(status).await;
        let order = json!({ "event_type": "*", "url": format!("http://{address}/") });
        case.plane.ops("POST", "/api/ops/webhooks", order).await.expect(201);
        bad.push(receiver);
    }
    let (good, address) = Receiver::start(200).await;
    let merchants = json!({ "merchant_id": case.plugin.merchant_id, "event_type": "*",
        "url": format!("http://{address}/") });
    case.plane.ops("POST", "/api/ops/webhooks", merchants).await.expect(201);
    let job = deliveries(&case.plane);

    let events = heal(&mut case).await;
    assert!(events >= 2, "an incident and a cure");
    eventually("the good receiver", || async {
        job.activate(case.plane.now()).await.unwrap();
        (good.received().len() >= usize::try_from(events).unwrap()).then_some(())
    })
    .await;
    for _hour in 0..24 {
        case.plane.advance(3600);
        tell(&case.plane, &job).await;
    }
    assert_eq!(case.count("webhook_deliveries WHERE status = 'dead'").await, 0);
    assert_eq!(
        case.count("webhook_deliveries WHERE status = 'pending'").await,
        3 * case.count("outbox_events").await,
        "it waits for them"
    );

    for receiver in &bad {
        receiver.answer(200);
    }
    for _ in 0..12 {
        case.plane.advance(6 * 3600);
        tell(&case.plane, &job).await;
    }
    let events = usize::try_from(case.count("outbox_events").await).unwrap();
    for receiver in &bad {
        let told: BTreeSet<_> = receiver.received().into_iter().map(|one| one.id).collect();
        assert_eq!(told.len(), events);
    }
    assert_eq!(case.count("webhook_deliveries WHERE status <> 'delivered'").await, 0);
}

#[tokio::test]
async fn whatever_sira_does_the_plugin_is_cured_and_the_decision_says_who_did_not_answer() {
    let wrong = json!({ "action": "patch", "patch_version": "9.9.9", "confidence": 0.9, "explanation": "trust me" });
    let manners = [
        ("closes", Manner::Closes),
        ("is silent", Manner::Silent),
        ("says 500", Manner::Status(500)),
        ("talks rubbish", Manner::Bytes(b"<html>busy</html>".to_vec())),
        ("names what there is not", Manner::Json(wrong)),
        ("talks without end", Manner::Huge(1024 * 1024)),
    ];
    for (name, manner) in manners {
        let fake = FakeSira::start(manner).await;
        let external = External::new(HttpClient::new(None).unwrap(), &fake.url(), "t".into()).unwrap();
        let sira = Sira::new(Some(Arc::new(external.within(WITHIN))));
        let mut case = Case::begin().await;
        let desk = DecisionDesk::new(case.plane.state.db.clone(), sira, case.plane.state.entropy.clone());
        case.loops = Loop::decided_by(&case.plane, Arc::new(desk)).await;
        let fixes = "UPDATE releases SET fixes = '{webhook_fail_rate}' WHERE version = '1.2.3'";
        case.plane.database.run(fixes).await;

        heal(&mut case).await;

        assert!(fake.asked() > 0, "{name}");
        let said = case
            .plane
            .database
            .text("SELECT source || ' ' || passed_over[1] FROM sira_decisions")
            .await
            .unwrap_or_default();
        assert!(said.starts_with("built_in external: "), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_staging_runner_that_is_down_or_says_what_is_none_of_its_words_lets_nothing_through() {
    let lies = [
        ("down", ""),
        ("hangs", HANGS),
        ("no words", "<html>ok</html>"),
        ("half a word", r#"{"ok":true}"#),
        ("a list", "[true]"),
        (
            "yes in words",
            r#"{"ok":"yes","passed":"yes","tests_run":"two","duration_ms":1,"errors":[],"logs":[]}"#,
        ),
        (
            "passed without a test",
            r#"{"ok":true,"passed":true,"tests_run":0,"duration_ms":1,"errors":[],"logs":[]}"#,
        ),
        (
            "passed with errors",
            r#"{"ok":true,"passed":true,"tests_run":2,"duration_ms":1,"errors":["exit 1"],"logs":[]}"#,
        ),
        (
            "not even run",
            r#"{"ok":false,"passed":true,"tests_run":2,"duration_ms":1,"errors":[],"logs":[]}"#,
        ),
    ];
    for (name, lie) in lies {
        let mut case = Case::begin().await;
        case.loops.runner.say(lie);
        case.beat(sick()).await;
        for _ in 0..3 {
            case.turn().await;
            case.plane.advance(30);
        }
        assert_eq!(case.count("plugin_agent_commands").await, 0, "{name}: {lie}");
        assert_eq!(
            case.count("release_quarantines WHERE plugin_id IS NULL").await,
            0,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_staging_runner_that_stays_away_is_told_to_people_and_the_next_cure_goes_through_once_it_is_back() {
    let mut case = Case::begin().await;
    let (receiver, address) = Receiver::start(200).await;
    let order = json!({ "event_type": "*", "url": format!("http://{address}/") });
    case.plane.ops("POST", "/api/ops/webhooks", order).await.expect(201);
    case.loops.runner.say(support::healing::BROKEN);
    case.beat(sick()).await;
    for _ in 0..20 {
        case.turn().await;
        case.plane.advance(60);
    }
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    tell(&case.plane, &deliveries(&case.plane)).await;
    let kinds: Vec<Value> = receiver
        .received()
        .iter()
        .map(|one| serde_json::from_slice::<Value>(&one.body).unwrap()["type"].clone())
        .collect();
    assert!(kinds.contains(&json!("plugin.incident_requires_approval")), "{kinds:?}");

    case.loops.runner.say(PASSES);
    let path = format!(
        "/api/ops/plugin-incidents/{}/manual-action",
        incident(&case.plane, "id").await
    );
    let again = json!({ "action": "patch", "version": "1.2.3", "reason": "staging is back" });
    case.plane.ops("POST", &path, again).await.expect(200);
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "applying");
}
