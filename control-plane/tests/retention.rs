//! What is old is forgotten in small batches; what is young, lives, or is still needed stays.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use jiff::SignedDuration;
use plugmend_control_plane::{
    jobs::{ForgetHistory, Horizons, Reconciler as _},
    store,
};
use support::plane::Plane;

/// Runs the job until its round is over; how many rows went, and in how many batches.
async fn round(plane: &Plane) -> (u64, u32) {
    let job = ForgetHistory::new(plane.state.db.clone(), Horizons::of_days(400, 90));
    let (mut gone, mut batches) = (0, 0);
    loop {
        let done = job.activate(plane.now()).await.unwrap();
        gone += done.done;
        if !done.more {
            return (gone, batches);
        }
        batches += 1;
        assert!(batches < 100, "it goes on for ever");
    }
}

/// A plugin with incidents of these ages in days, each with a decision, an attempt, its order and what came of it.
async fn history(plane: &Plane, days: &[i64]) -> String {
    let plugin = plane.agent_plugin().await.id.to_string();
    for (number, days) in days.iter().enumerate() {
        plane
            .database
            .run(&format!(
                "SET session_replication_role = replica;
                 WITH ago AS (SELECT '{now}'::timestamptz - interval '{days} days' AS at),
                 incident AS (
                   INSERT INTO plugin_incidents
                     (merchant_plugin_id, incident_type, severity, detected_at, status, created_at, updated_at)
                   SELECT '{plugin}', 'error_spike', 'low', at, 'closed', at, at FROM ago RETURNING id, created_at AS at),
                 decision AS (
                   INSERT INTO sira_decisions (id, incident_id, merchant_id, merchant_plugin_id, input, output, source,
                     model_version, training_epoch, created_at)
                   SELECT gen_random_uuid(), id, gen_random_uuid(), '{plugin}', '{{}}', '{{}}', 'built_in', '1', 1, at
                   FROM incident RETURNING id),
                 attempt AS (
                   INSERT INTO plugin_autopatch_attempts (incident_id, merchant_plugin_id, from_version, to_version, method,
                     status, origin, created_at, updated_at)
                   SELECT id, '{plugin}', '1.0.{number}', '1.1.0', 'patch', 'success', 'automatic', at, at FROM incident
                   RETURNING id, incident_id, created_at AS at),
                 command AS (
                   INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type, status, attempt_id, created_at,
                     updated_at, completed_at)
                   SELECT '{plugin}', 'update', 'completed', id, at, at, at FROM attempt)
                 INSERT INTO sira_learning_feedback (incident_id, autopatch_attempt_id, decision_id, actual_outcome,
                   feedback_label, created_at)
                 SELECT attempt.incident_id, attempt.id, decision.id, 'success', 'positive', attempt.at
                 FROM attempt, decision",
                now = plane.now()
            ))
            .await;
    }
    plugin
}

const TABLES: [&str; 5] = [
    "plugin_incidents",
    "sira_decisions",
    "plugin_autopatch_attempts",
    "plugin_agent_commands",
    "sira_learning_feedback",
];

async fn counts(plane: &Plane) -> [i64; 5] {
    let mut counts = [0; 5];
    for (count, table) in counts.iter_mut().zip(TABLES) {
        *count = plane.database.number(&format!("SELECT count(*) FROM {table}")).await;
    }
    counts
}

#[tokio::test]
async fn what_has_ended_long_ago_goes_as_a_whole_and_the_rest_stays() {
    let plane = Plane::start().await;
    history(&plane, &[500, 401, 399, 100, 80]).await;
    let told = plane.database.number("SELECT count(*) FROM plugin_audit").await;

    let (gone, _) = round(&plane).await;

    assert_eq!(gone, 2 * 5 + 2, "two histories, and the orders of two more");
    assert_eq!(counts(&plane).await, [3, 3, 3, 1, 3]);
    let trail = "SELECT count(*) FROM plugin_audit WHERE action = 'history_forgotten'";
    assert_eq!(plane.database.number(trail).await, 5, "an entry a kind");
    assert_eq!(
        plane.database.number("SELECT count(*) FROM plugin_audit").await,
        told + 5,
        "nothing of the trail goes"
    );
    assert_eq!(round(&plane).await.0, 0);
}

#[tokio::test]
async fn a_long_backlog_goes_in_small_batches() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await.id;
    plane
        .database
        .run(&format!(
            "INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type, status, created_at, updated_at)
             SELECT '{plugin}', 'health_check', 'completed', '2020-01-01', '2020-01-01' FROM generate_series(1, 1200)"
        ))
        .await;
    let (gone, batches) = round(&plane).await;
    assert_eq!((gone, batches), (1200, 3 + 5));
}

#[tokio::test]
async fn what_lives_or_is_named_by_something_younger_stays() {
    for keep in [
        "UPDATE plugin_incidents SET status = 'escalated'",
        "UPDATE plugin_incidents SET updated_at = now()",
        "UPDATE plugin_autopatch_attempts SET status = 'applying'",
        "UPDATE plugin_autopatch_attempts SET updated_at = now()",
        "UPDATE sira_learning_feedback SET created_at = now()",
        "UPDATE plugin_agent_commands SET status = 'executing'",
        "INSERT INTO sira_lessons_due (attempt_id, status, was) SELECT id, status, 'applying' FROM plugin_autopatch_attempts",
        "INSERT INTO release_quarantines (product, version, release_digest, attempt_id, reason)
         SELECT 'p', '1.1.0', decode(repeat('00', 32), 'hex'), id, 'it failed' FROM plugin_autopatch_attempts",
    ] {
        let plane = Plane::start().await;
        history(&plane, &[500]).await;
        plane
            .database
            .run(&format!("SET session_replication_role = replica; {keep}"))
            .await;
        round(&plane).await;
        let left = counts(&plane).await;
        assert_eq!((left[0], left[2]), (1, 1), "{keep}: {left:?}");
    }
}

#[tokio::test]
async fn what_a_decider_is_judged_by_and_the_settings_in_force_stay() {
    let plane = Plane::start().await;
    let plugin = history(&plane, &[500]).await;
    plane
        .database
        .run(&format!(
            "UPDATE sira_learning_feedback SET source = 'built_in', confidence = 0.9;
             INSERT INTO plugin_agent_commands (merchant_plugin_id, command_type, status, created_at, updated_at, completed_at)
             SELECT '{plugin}', 'config_update', 'completed', at, at, at
             FROM (SELECT '2020-01-01'::timestamptz + n * interval '1 hour' AS at FROM generate_series(1, 60) n) made"
        ))
        .await;
    round(&plane).await;
    assert_eq!(counts(&plane).await[4], 1);
    let settings = "SELECT count(*) FROM plugin_agent_commands WHERE command_type = 'config_update'";
    assert_eq!(plane.database.number(settings).await, 50, "as many as are looked at");
    // A hundred later outcomes, and it is no longer judged by.
    plane
        .database
        .run(
            "INSERT INTO sira_learning_feedback (actual_outcome, feedback_label, source, confidence)
             SELECT 'success', 'positive', 'built_in', 0.9 FROM generate_series(1, 100)",
        )
        .await;
    round(&plane).await;
    assert_eq!(counts(&plane).await, [0, 0, 0, 50, 100]);
}

#[tokio::test]
async fn of_versions_the_latest_hundred_of_a_plugin_stay_and_the_last_for_ever() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await.id;
    let mut tx = plane.state.db.begin().await.unwrap();
    for minute in 0..130 {
        let at = plane.now() + SignedDuration::from_mins(minute);
        let change = if minute % 2 == 0 {
            ("1.0.0", "1.1.0")
        } else {
            ("1.1.0", "1.0.0")
        };
        store::detector::version_changed(&mut tx, plugin, change, at)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let changes = "SELECT count(*) FROM plugin_version_changes";
    assert_eq!(plane.database.number(changes).await, 100);
    plane.advance(401 * 86_400);
    round(&plane).await;
    assert_eq!(plane.database.number(changes).await, 1);
}
