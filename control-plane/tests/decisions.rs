//! Decisions on a real database: gathered, stored, replayed, learned from.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::{
    domain::decision::{Action, Question, Source},
    service::{
        decide::{Recorded, decide},
        learn::learn_some,
    },
    sira::Sira,
    store::release::{self, NewRelease},
};
use plugmend_shared::{
    decide::{self, Decision},
    ids::Digest,
};
use serde_json::{Value, json};
use support::plane::{Plane, Plugin};
use uuid::Uuid;

/// A plugin at 1.2.2, with a release that says that it fixes webhooks.
struct Shop {
    plane: Plane,
    plugin: Plugin,
    made: std::cell::Cell<u8>,
}

impl Shop {
    async fn open() -> Self {
        let plane = Plane::start().await;
        let plugin = plane.agent_plugin().await;
        plane
            .database
            .run("UPDATE merchant_plugins SET plugin_version = '1.2.2', telemetry = '{\"env\": {\"node\": \"22.1\"}}'")
            .await;
        let shop = Self {
            plane,
            plugin,
            made: 0.into(),
        };
        for (version, fixes) in [("1.2.1", ""), ("1.2.2", ""), ("1.2.3", "webhook_fail_rate")] {
            shop.release(version, fixes).await;
        }
        shop
    }

    async fn release(&self, version: &str, fixes: &str) {
        let new = NewRelease {
            product: "molam-pay-node".parse().unwrap(),
            version: version.parse().unwrap(),
            digest: Digest::of(version.as_bytes()),
            impact: "medium",
            fixes: Some(fixes)
                .filter(|f| !f.is_empty())
                .map(str::to_owned)
                .into_iter()
                .collect(),
            undo: "code_only",
            approvals_required: 0,
            files: 1,
            bytes: 1,
            pack_bytes: 1,
            manifest: json!({
                "compat": { "env": { "node": ">=20" } },
                "settings": { "file": "settings.json", "keys": { "timeout_ms": { "type": "integer" } } },
            }),
        };
        let mut tx = self.plane.state.db.begin().await.unwrap();
        release::insert(&mut tx, &new, None, self.plane.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// An incident, as the detectors would open it; the one before is closed.
    async fn incident(&self, kind: &str) -> Uuid {
        let id = self.id();
        let (plugin, now) = (self.plugin.id, self.plane.now());
        self.plane
            .database
            .run(&format!(
                "UPDATE plugin_incidents SET status = 'closed';
                 INSERT INTO plugin_incidents
                   (id, merchant_plugin_id, incident_type, severity, detected_at, telemetry_snapshot, confidence)
                 VALUES ('{id}', '{plugin}', '{kind}', 'medium', '{now}',
                   '{{\"errors_last_24h\": 50, \"webhook_fail_rate\": 0.6, \"api_token\": \"hunter2\"}}', 0.95)"
            ))
            .await;
        id
    }

    fn id(&self) -> Uuid {
        self.made.set(self.made.get() + 1);
        Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 + u128::from(self.made.get()))
    }

    async fn decide(&self, incident: Uuid) -> Recorded {
        self.made.set(self.made.get() + 1);
        let random = [self.made.get(); 10];
        let sira = Sira::new(None);
        decide(&self.plane.state.db, &sira, incident, random, self.plane.now())
            .await
            .unwrap()
    }

    /// An attempt that was applied, and how it ended.
    async fn attempt(&self, incident: Uuid, to: &str, ended: &str) -> Uuid {
        let id = self.id();
        let (plugin, now) = (self.plugin.id, self.plane.now());
        self.plane
            .database
            .run(&format!(
                "INSERT INTO plugin_autopatch_attempts
                   (id, incident_id, merchant_plugin_id, from_version, to_version, method, status, origin, executed_at,
                    staging_result, production_result, created_at)
                 VALUES ('{id}', '{incident}', '{plugin}', '1.2.2', '{to}', 'patch', 'applying', 'automatic', '{now}',
                   '{{\"passed\": true}}', '{{\"health_check_passed\": true}}', '{now}')"
            ))
            .await;
        self.end(id, ended).await;
        id
    }

    async fn end(&self, attempt: Uuid, status: &str) {
        self.plane
            .database
            .run(&format!(
                "UPDATE plugin_autopatch_attempts SET status = '{status}' WHERE id = '{attempt}'"
            ))
            .await;
    }

    async fn learn(&self) -> u16 {
        learn_some(&self.plane.state.db, 50, self.plane.now()).await.unwrap()
    }

    async fn text(&self, sql: &str) -> String {
        self.plane.database.text(sql).await.unwrap_or_default()
    }
}

#[tokio::test]
async fn the_worked_example_is_decided_stored_shown_and_replayed() {
    let shop = Shop::open().await;
    let incident = shop.incident("webhook_fail_rate").await;
    let recorded = shop.decide(incident).await;
    let decision = &recorded.decided.decision;
    assert_eq!(
        (decision.action, recorded.decided.source),
        (Action::Patch, Source::BuiltIn)
    );
    assert_eq!(decision.patch_version, Some("1.2.3".parse().unwrap()), "{decision:?}");
    assert!(decision.confidence >= 0.75 && decision.confidence_real == Some(0.95));

    assert_eq!(
        shop.text("SELECT sira_decision ->> 'patch_version' FROM plugin_incidents")
            .await,
        "1.2.3"
    );
    assert_eq!(
        shop.text("SELECT actor_type FROM plugin_audit WHERE action = 'decision_made'")
            .await,
        "sira"
    );
    assert!(
        !shop
            .text("SELECT input::text FROM sira_decisions")
            .await
            .contains("hunter2")
    );

    let list = shop
        .plane
        .ops("GET", "/api/ops/decisions", Value::Null)
        .await
        .expect(200);
    assert_eq!(list["decisions"][0]["id"], json!(recorded.id));
    assert!(list["decisions"][0]["input"].is_null(), "lists are short");
    let path = format!("/api/ops/decisions/{}", recorded.id);
    let shown = shop.plane.ops("GET", &path, Value::Null).await.expect(200);
    let question: Question = serde_json::from_value(shown["input"].clone()).unwrap();
    let stored: Decision = serde_json::from_value(shown["output"].clone()).unwrap();
    assert_eq!(question, recorded.question, "the database gives back what was asked");
    assert_eq!(decide::decide(&question).unwrap(), stored, "a replay agrees");
    shop.plane
        .ops("GET", &format!("/api/ops/decisions/{incident}"), Value::Null)
        .await
        .refuses(404, "unknown_decision");
}

#[tokio::test]
async fn trouble_after_a_change_and_a_quarantine_are_seen() {
    let shop = Shop::open().await;
    let (plugin, now) = (shop.plugin.id, shop.plane.now());
    shop.plane
        .database
        .run(&format!(
            "INSERT INTO plugin_version_changes (plugin_id, at, from_version, to_version)
             VALUES ('{plugin}', '{}', '1.2.1', '1.2.2')",
            now - jiff::SignedDuration::from_mins(5)
        ))
        .await;
    let incident = shop.incident("error_spike").await;
    let decision = shop.decide(incident).await.decided.decision;
    assert_eq!(decision.action, Action::Rollback, "{}", decision.explanation);
    assert_eq!(decision.patch_version, Some("1.2.1".parse().unwrap()));

    shop.plane
        .database
        .run(&format!(
            "INSERT INTO release_quarantines (product, version, release_digest, plugin_id, reason)
             SELECT product, version, digest, '{plugin}', 'it failed' FROM releases WHERE version = '1.2.1'"
        ))
        .await;
    let incident = shop.incident("error_spike").await;
    let decision = shop.decide(incident).await.decided.decision;
    assert_eq!(decision.action, Action::NotifyOps);
    assert!(decision.explanation.contains("quarantined"), "{}", decision.explanation);
}

#[tokio::test]
async fn a_drift_is_answered_with_what_was_set_before() {
    let shop = Shop::open().await;
    let plugin = shop.plugin.id;
    for (minute, value) in [(1, 1000), (2, 3000)] {
        shop.plane
            .database
            .run(&format!(
                "INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type, command_payload, status, completed_at)
                 VALUES ('{plugin}', 'config_update', '{{\"config\": {{\"timeout_ms\": {value}, \"gone\": 1}}}}',
                   'completed', now() + interval '{minute} minutes')"
            ))
            .await;
    }
    let incident = shop.incident("config_drift").await;
    let decision = shop.decide(incident).await.decided.decision;
    assert_eq!(decision.action, Action::ConfigFix, "{}", decision.explanation);
    assert_eq!(
        Value::Object(decision.config.unwrap()),
        json!({ "timeout_ms": 3000 }),
        "the last value, and only what may be set"
    );
}

#[tokio::test]
async fn outcomes_change_the_next_decision() {
    let shop = Shop::open().await;
    let incident = shop.incident("webhook_fail_rate").await;
    let first = shop.decide(incident).await;
    let attempt = shop.attempt(incident, "1.2.3", "success").await;
    assert_eq!(shop.learn().await, 1);
    assert_eq!(
        shop.text(
            "SELECT concat_ws(' ', actual_outcome, feedback_label, source, training_epoch, confidence, model_version,
               sira_output ->> 'action', sira_input ->> 'incident_type') FROM sira_learning_feedback"
        )
        .await,
        "success positive built_in 1 0.86 built-in/2 patch webhook_fail_rate"
    );
    let incident = shop.incident("webhook_fail_rate").await;
    let second = shop.decide(incident).await;
    assert_eq!(second.question.historical_data.experience.epoch, 1);
    assert!(second.decided.decision.confidence > first.decided.decision.confidence);

    // Taken back later: the success is one no more, and counts as a failure.
    shop.end(attempt, "rolled_back").await;
    assert_eq!(shop.learn().await, 1);
    assert_eq!(
        shop.text("SELECT string_agg(DISTINCT concat_ws(' ', successes, failures), ',') FROM sira_tallies")
            .await,
        "0 1"
    );
    assert_eq!(
        shop.text("SELECT count(*) FROM sira_learning_feedback WHERE source IS NOT NULL")
            .await,
        "1",
        "one word a cure"
    );
    assert_eq!(
        shop.text("SELECT concat_ws(' ', staging_passed, kept, reverted) FROM sira_release_seeds")
            .await,
        "1 0 1"
    );
    assert_eq!(shop.learn().await, 0, "nothing is learned twice");
}

#[tokio::test]
async fn what_people_did_instead_is_learned_from() {
    let shop = Shop::open().await;
    shop.release("1.3.0", "").await;
    let incident = shop.incident("error_spike").await;
    assert_eq!(shop.decide(incident).await.decided.decision.action, Action::NotifyOps);
    for _ in 0..4 {
        shop.attempt(incident, "1.3.0", "success").await;
    }
    shop.learn().await;
    assert_eq!(
        shop.text("SELECT count(*) FROM sira_learning_feedback WHERE source IS NULL AND feedback_notes LIKE 'People%'")
            .await,
        "4"
    );
    let incident = shop.incident("error_spike").await;
    let decision = shop.decide(incident).await.decided.decision;
    // What was done here has an end already; elsewhere it is what people found.
    assert_eq!(
        decision.patch_version,
        Some("1.3.0".parse().unwrap()),
        "{}",
        decision.explanation
    );
}

#[tokio::test]
async fn while_learning_is_switched_off_nothing_is_learned_and_nothing_kept_for_later() {
    let shop = Shop::open().await;
    shop.plane
        .database
        .run("UPDATE ops_policy SET sira_learning_enabled = false")
        .await;
    let incident = shop.incident("webhook_fail_rate").await;
    shop.decide(incident).await;
    shop.attempt(incident, "1.2.3", "success").await;
    assert_eq!(shop.learn().await, 1);
    shop.plane
        .database
        .run("UPDATE ops_policy SET sira_learning_enabled = true")
        .await;
    assert_eq!(shop.learn().await, 0);
    assert_eq!(shop.text("SELECT count(*) FROM sira_learning_feedback").await, "0");
    assert_eq!(shop.text("SELECT count(*) FROM sira_tallies").await, "0");
}

#[tokio::test]
async fn a_model_that_does_worse_than_the_rules_leaves_it_to_them_until_people_say_otherwise() {
    let shop = Shop::open().await;
    let incident = shop.incident("webhook_fail_rate").await;
    shop.decide(incident).await;
    for _ in 0..10 {
        shop.attempt(incident, "1.2.3", "rolled_back").await;
    }
    shop.learn().await;
    let model = shop.plane.ops("GET", "/api/ops/model", Value::Null).await.expect(200);
    let built_in = &model["deciders"][0];
    assert_eq!(built_in["source"], "built_in");
    assert_eq!(built_in["trust"]["verdict"], "worse");
    assert_eq!(built_in["calibration"]["outcomes"], 10);
    assert!(built_in["demoted_at"].is_string(), "{built_in}");
    assert_eq!(shop.text("SELECT kind FROM outbox_events").await, "fleet.model_demoted");
    assert_eq!(
        shop.text("SELECT count(*) FROM plugin_audit WHERE action = 'model_demoted'")
            .await,
        "1"
    );
    let incident = shop.incident("webhook_fail_rate").await;
    let recorded = shop.decide(incident).await;
    assert_eq!(recorded.decided.source, Source::Heuristics);
    assert!(recorded.decided.passed_over[0].contains("demoted"));

    let path = "/api/ops/model/built_in/reinstate";
    shop.plane.advance(1);
    shop.plane.ops("POST", path, Value::Null).await.expect(200);
    shop.plane
        .ops("POST", path, Value::Null)
        .await
        .refuses(409, "not_demoted");
    let incident = shop.incident("webhook_fail_rate").await;
    assert_eq!(shop.decide(incident).await.decided.source, Source::BuiltIn);
    shop.attempt(incident, "1.2.3", "rolled_back").await;
    shop.learn().await;
    assert_eq!(
        shop.text("SELECT count(*) FROM sira_models WHERE demoted_at IS NOT NULL")
            .await,
        "0",
        "what was before does not count any more"
    );
}
