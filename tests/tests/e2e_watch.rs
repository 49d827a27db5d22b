//! What the agent sees and asks by itself: changed files, drifted settings, the last word on an order, and a way back that does
//! not wait.

use std::fs;

use plugmend_shared::protocol::command::OutcomeStatus;
use plugmend_tests::{
    shop::shelf,
    system::{FIRST, Whole, update_to},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_to_go_back_does_not_wait_behind_the_watch_of_what_it_takes_back() {
    let whole = Whole::start("exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    let mut update = update_to("1.1.0");
    update["health"] = json!({
        "health_check_timeout_seconds": 3600, "health_check_interval_seconds": 1,
        "auto_rollback_on_error_rate_threshold": 0.1, "auto_rollback_on_heartbeat_missed_seconds": 3600,
    });
    let update = whole.order("update", update).await.unwrap();
    whole.until_installed("1.1.0").await.unwrap();

    let back = whole.order("rollback", json!({"reason": "a test"})).await.unwrap();

    let ended = whole.ended(&back).await.unwrap();
    assert_eq!(ended.status, "completed", "{}\n{}", ended.raw, whole.logs());
    let ended = whole.ended(&update).await.unwrap();
    assert_eq!(ended.status, "failed", "{}\n{}", ended.raw, whole.logs());
    assert_eq!(ended.outcome.unwrap().status, OutcomeStatus::Reverted);
    assert_eq!(shelf::version(&whole.plugin).as_deref(), Some(FIRST), "and no further");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_file_and_a_drifted_setting_are_told_at_once_and_healed_by_orders() {
    let whole = Whole::start("exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    assert_eq!(whole.update("1.1.0").await.unwrap().status, "completed");
    let set = json!({"config": {"colour": "green"}});
    let id = whole.order("config_update", set.clone()).await.unwrap();
    assert_eq!(whole.ended(&id).await.unwrap().status, "completed");
    let telemetry = async |pointer: &str, wanted: &dyn Fn(&Value) -> bool| {
        whole
            .until_shown("telemetry", |telemetry| telemetry.pointer(pointer).is_some_and(wanted))
            .await
            .unwrap()
    };
    telemetry("/integrity/intact", &|intact| intact == true).await;

    fs::write(whole.plugin.join("shell.php"), "<?php evil();").unwrap();
    let told = telemetry("/integrity/intact", &|intact| intact == false).await;
    let found = &told["integrity"]["found"][0];
    assert_eq!((&found["path"], &found["kind"]), (&json!("shell.php"), &json!("extra")));
    assert_eq!(told["integrity"]["watched"], true);
    let evidence = told["integrity"]["evidence"].as_str().unwrap();
    assert!(
        whole
            .agent
            .state_dir()
            .join(evidence)
            .join("0-shell.php.found")
            .exists()
    );
    assert_eq!(whole.update("1.1.0").await.unwrap().status, "completed");
    telemetry("/integrity/intact", &|intact| intact == true).await;
    assert!(!whole.plugin.join("shell.php").exists());

    fs::write(whole.plugin.join("settings.json"), r#"{"colour": "red"}"#).unwrap();
    telemetry("/settings/drifted/0", &|key| key == "colour").await;
    let id = whole.order("config_update", set).await.unwrap();
    assert_eq!(whole.ended(&id).await.unwrap().status, "completed");
    telemetry("/settings", &|settings| settings.get("drifted").is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_switch_thrown_in_mid_flight_stops_the_change_before_it_is_made() {
    let whole = Whole::start("exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    let attempt = "0198c0de-0000-7000-8000-00000000a77e";
    let mut database = PgConnection::connect(whole.control_plane.database_url()).await.unwrap();
    let begin = format!(
        "WITH incident AS (
           INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, detected_at, status)
           VALUES ('{plugin}', 'error_spike', 'medium', now(), 'in_progress') RETURNING id
         )
         INSERT INTO plugin_autopatch_attempts
           (id, incident_id, merchant_plugin_id, from_version, to_version, method, status, executed_by)
         SELECT '{attempt}', id, '{plugin}', '1.0.0', '1.1.0', 'patch', 'applying', 'sira' FROM incident;
         UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1",
        plugin = whole.agent.plugin_id()
    );
    database
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(begin)))
        .await
        .unwrap();
    let mut update = update_to("1.1.0");
    update["attempt_id"] = json!(attempt);
    let swaps = whole.watcher.swaps().len();

    let id = whole.order("update", update).await.unwrap();

    let ended = whole.ended(&id).await.unwrap();
    assert_eq!(ended.status, "failed", "{}\n{}", ended.raw, whole.logs());
    assert_eq!(whole.watcher.swaps().len(), swaps, "the plugin was touched");
    assert_eq!(shelf::version(&whole.plugin).as_deref(), Some(FIRST));
    database.close().await.unwrap();
}
