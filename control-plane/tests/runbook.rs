//! The runbook's SQL, as people type it: the emergency stop and the take-back of the last hour.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::store::{self, incident::NewIncident};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    detect::{Settings, silence},
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use support::database::TestDatabase;

const ATTEMPT: &str = "
    INSERT INTO merchants (id, name) VALUES ('00000000-0000-4000-9000-000000000001', 'Shop');
    INSERT INTO merchant_plugins (id, merchant_id, cms, plugin_version, product)
    VALUES ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-9000-000000000001', 'node', '1.0.1', 'p');
    INSERT INTO plugin_autopatch_attempts (id, merchant_plugin_id, from_version, to_version, method, status, executed_at)
    VALUES ('00000000-0000-4000-b000-000000000001', '00000000-0000-4000-8000-000000000001', '1.0.0', '1.0.1', 'patch',
            'applying', now());
    INSERT INTO plugin_agent_commands (id, merchant_plugin_id, command_type, status, attempt_id)
    VALUES ('00000000-0000-4000-c000-000000000001', '00000000-0000-4000-8000-000000000001', 'update', 'pending',
            '00000000-0000-4000-b000-000000000001');";
const STOP: &str =
    "UPDATE plugin_autopatch_attempts SET status = 'cancelled' WHERE status IN ('pending','staging','applying')";
const ROLLBACKS: &str = "SELECT count(*) FROM plugin_agent_commands WHERE command_type = 'rollback'
     AND status = 'pending' AND command_payload ->> 'version' = '1.0.0' AND attempt_id IS NOT NULL";

/// One plugin, with an attempt whose order waits.
async fn with_an_attempt() -> TestDatabase {
    let database = TestDatabase::migrated().await;
    database.run(ATTEMPT).await;
    database
}

#[tokio::test]
async fn the_emergency_stop_withdraws_what_was_not_sent() {
    let database = with_an_attempt().await;
    database.run(STOP).await;
    let update = "SELECT status FROM plugin_agent_commands WHERE command_type = 'update'";
    assert_eq!(database.text(update).await.as_deref(), Some("failed"));
    assert_eq!(database.number(ROLLBACKS).await, 0);
}

#[tokio::test]
async fn the_emergency_stop_sends_back_what_has_begun() {
    let database = with_an_attempt().await;
    database
        .run("UPDATE plugin_agent_commands SET status = 'executing', generation = 1")
        .await;
    database.run(STOP).await;
    database.run(STOP).await;
    assert_eq!(database.number(ROLLBACKS).await, 1);
    // What is on its way is not tried again.
    let left = "SELECT max_retries - retry_count FROM plugin_agent_commands WHERE command_type = 'update'";
    assert_eq!(database.number(left).await, 0);
}

#[tokio::test]
async fn taking_back_the_last_hour_orders_roll_backs() {
    let database = with_an_attempt().await;
    database
        .run("UPDATE plugin_autopatch_attempts SET status = 'success'")
        .await;
    database
        .run(
            "UPDATE plugin_autopatch_attempts SET status = 'rolled_back', rollback_reason = 'bad hour',
                    rolled_back_at = now()
             WHERE status = 'success' AND executed_at > now() - interval '1 hour'",
        )
        .await;
    assert_eq!(database.number(ROLLBACKS).await, 1);
    let reason = "SELECT command_payload ->> 'reason' FROM plugin_agent_commands WHERE command_type = 'rollback'";
    assert_eq!(database.text(reason).await.as_deref(), Some("bad hour"));
    assert_eq!(
        database
            .number("SELECT count(*) FROM plugin_audit WHERE action = 'attempt_rolled_back'")
            .await,
        1
    );
}

const LAST_HOUR: &str = "UPDATE plugin_autopatch_attempts
     SET status = 'rolled_back', rollback_reason = 'bad hour', rolled_back_at = now()
     WHERE status = 'success' AND executed_at > now() - interval '1 hour'";
/// A second attempt on the same plugin, half an hour before the first.
const EARLIER: &str = "
    INSERT INTO plugin_autopatch_attempts (id, merchant_plugin_id, from_version, to_version, method, status, executed_at)
    VALUES ('00000000-0000-4000-b000-000000000002', '00000000-0000-4000-8000-000000000001', '0.9.0', '1.0.0', 'patch',
            'success', now() - interval '30 minutes');";
const TARGETS: &str = "SELECT string_agg(command_payload ->> 'version', ' ' ORDER BY created_at)
     FROM plugin_agent_commands WHERE command_type = 'rollback'";

#[tokio::test]
async fn two_take_backs_of_one_plugin_go_back_to_where_the_older_began() {
    let database = with_an_attempt().await;
    database.run(EARLIER).await;
    database
        .run("UPDATE plugin_autopatch_attempts SET status = 'success'")
        .await;
    database.run(LAST_HOUR).await;
    assert_eq!(database.text(TARGETS).await.as_deref(), Some("0.9.0"));
    let told = "SELECT count(*) FROM plugin_audit WHERE action = 'attempt_rolled_back'";
    assert_eq!(database.number(told).await, 2);
}

#[tokio::test]
async fn a_take_back_never_goes_forward_to_a_version_that_was_left() {
    let database = with_an_attempt().await;
    database.run(EARLIER).await;
    let take_back = |version: &str| {
        format!("UPDATE plugin_autopatch_attempts SET status = 'rolled_back' WHERE from_version = '{version}'")
    };
    database
        .run("UPDATE plugin_autopatch_attempts SET status = 'success'")
        .await;
    database.run(&take_back("0.9.0")).await;
    database.run(&take_back("1.0.0")).await;
    assert_eq!(database.text(TARGETS).await.as_deref(), Some("0.9.0"));
}

#[tokio::test]
async fn the_emergency_stop_sends_back_what_was_installed_while_its_attempt_still_watched() {
    for ended in ["completed", "timeout"] {
        let database = TestDatabase::migrated().await;
        database.run(ATTEMPT).await;
        database
            .run(&format!(
                "UPDATE plugin_agent_commands SET status = '{ended}', generation = 1"
            ))
            .await;
        database.run(STOP).await;
        assert_eq!(database.number(ROLLBACKS).await, 1, "{ended}");
    }
}

#[tokio::test]
async fn the_emergency_stop_withdraws_a_cure_that_is_a_roll_back_itself() {
    let database = with_an_attempt().await;
    database
        .run("UPDATE plugin_agent_commands SET command_type = 'rollback', created_by = 'system'")
        .await;
    database.run(STOP).await;
    let left = "SELECT count(*) FROM plugin_agent_commands WHERE status = 'pending'";
    assert_eq!(database.number(left).await, 0);
}

#[tokio::test]
async fn a_stop_that_meets_an_order_going_overdue_still_sends_it_back() {
    let database = with_an_attempt().await;
    database
        .run("UPDATE plugin_agent_commands SET status = 'executing', generation = 1")
        .await;
    // The reconciler has ended the order and not committed yet.
    let mut overdue = PgConnection::connect(&database.url).await.unwrap();
    overdue
        .execute("BEGIN; UPDATE plugin_agent_commands SET status = 'timeout', completed_at = now()")
        .await
        .unwrap();
    let stop = stop_that_waits(&database).await;
    overdue.execute("COMMIT").await.unwrap();
    stop.await.unwrap();
    assert_eq!(database.number(ROLLBACKS).await, 1);
}

#[tokio::test]
async fn a_stop_waits_for_the_heartbeat_that_holds_the_plugin_and_finds_what_it_sent() {
    let database = with_an_attempt().await;
    // A heartbeat holds the plugin first, then takes its orders.
    let mut heartbeat = PgConnection::connect(&database.url).await.unwrap();
    heartbeat
        .execute("BEGIN; SELECT id FROM merchant_plugins ORDER BY id FOR NO KEY UPDATE")
        .await
        .unwrap();
    let stop = stop_that_waits(&database).await;
    // No circle: the stop holds no order yet, so the heartbeat gets through.
    heartbeat
        .execute("UPDATE plugin_agent_commands SET status = 'sent', sent_at = now(), generation = 1; COMMIT")
        .await
        .unwrap();
    stop.await.unwrap();
    assert_eq!(database.number(ROLLBACKS).await, 1);
}

/// Has a person type the emergency stop, which waits for somebody who holds a row.
async fn stop_that_waits(database: &TestDatabase) -> tokio::task::JoinHandle<()> {
    let url = database.url.clone();
    let stop = tokio::spawn(async move {
        let mut person = PgConnection::connect(&url).await.unwrap();
        person.execute(STOP).await.unwrap();
    });
    support::eventually("a statement that waits", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (database.number(waiting).await > 0).then_some(())
    })
    .await;
    stop
}

#[tokio::test]
async fn logs_of_an_attempt_can_only_grow() {
    let database = with_an_attempt().await;
    let append = |message: &str| {
        format!("UPDATE plugin_autopatch_attempts SET logs = logs || '[{{\"message\": \"{message}\"}}]'")
    };
    database.run(&append("one")).await;
    database.run(&append("two")).await;
    for change in ["'[]'", "'[{\"message\": \"two\"}]'", "'{}'", "NULL"] {
        let refused = database
            .refusal(&format!("UPDATE plugin_autopatch_attempts SET logs = {change}"))
            .await;
        assert!(
            refused.contains("append-only") || refused.contains("null"),
            "{change}: {refused}"
        );
    }
    let messages = "SELECT jsonb_path_query_array(logs, '$[*].message') FROM plugin_autopatch_attempts";
    assert_eq!(database.text(messages).await.as_deref(), Some("[\"one\", \"two\"]"));
}

#[tokio::test]
async fn a_stop_and_a_heartbeat_that_finds_the_plugin_ill_do_not_wait_for_each_other() {
    let database = with_an_attempt().await;
    database
        .run(
            "INSERT INTO plugin_incidents (id, merchant_plugin_id, incident_type, severity, status)
             SELECT '00000000-0000-4000-a000-000000000001', id, 'heartbeat_missed', 'medium', 'in_progress'
             FROM merchant_plugins;
             UPDATE plugin_autopatch_attempts SET incident_id = '00000000-0000-4000-a000-000000000001'",
        )
        .await;
    let plugin_id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    let mut heartbeat = database.db.begin().await.unwrap();
    store::plugin::lock(&mut heartbeat, plugin_id).await.unwrap();
    let stop = stop_that_waits(&database).await;
    let now = SystemClock.now();
    let new = NewIncident {
        plugin_id,
        finding: silence::finding(now.as_second() - 600, now.as_second(), &Settings::default()),
        snapshot: serde_json::json!({}),
        version: "1.0.1".to_owned(),
    };
    assert_eq!(store::incident::open(&mut heartbeat, &new, now).await.unwrap(), None);
    heartbeat.commit().await.unwrap();
    stop.await.unwrap();
    let stopped = "SELECT count(*) FROM plugin_autopatch_attempts WHERE status = 'cancelled'";
    assert_eq!(database.number(stopped).await, 1);
    let looked_at = "SELECT count(*) FROM plugin_incidents WHERE next_look_at = 'epoch'";
    assert_eq!(database.number(looked_at).await, 1);
}
