//! What must hold while parts of the system are away.

use std::time::Duration;

use plugmend_shared::protocol::command::OutcomeStatus;
use plugmend_tests::{
    postgres::{Durability, Postgres},
    shop::shelf,
    system::{FIRST, LIMIT, Whole, update_to},
    wait,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_release_is_taken_back_with_the_control_plane_down_and_told_later() {
    let mut whole = Whole::start("exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write_broken).unwrap();
    let id = whole.order("update", update_to("1.1.0")).await.unwrap();
    whole.until_installed("1.1.0").await.unwrap();
    whole.control_plane.kill().unwrap();

    whole.until_installed(FIRST).await.unwrap();
    whole.control_plane.launch().unwrap();

    let ended = whole.ended(&id).await.unwrap();
    assert_eq!(ended.status, "failed", "{}\n{}", ended.raw, whole.logs());
    assert_eq!(ended.outcome.unwrap().status, OutcomeStatus::Reverted);
    whole
        .until_shown("plugin_version", |version| version == FIRST)
        .await
        .unwrap();
    // The release is quarantined on this host: the same order again touches nothing.
    let before = whole.watcher.swaps().len();
    if let Ok(id) = whole.order("update", update_to("1.1.0")).await {
        assert_eq!(whole.ended(&id).await.unwrap().status, "failed");
    }
    assert_eq!(whole.watcher.swaps().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_in_the_middle_of_a_trial_settles_it_when_it_starts_again() {
    let mut whole = Whole::start("exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    let id = whole.order("update", update_to("1.1.0")).await.unwrap();
    whole.until_installed("1.1.0").await.unwrap();
    whole.agent.kill().unwrap();
    whole.agent.launch().unwrap();

    let ended = whole.ended(&id).await.unwrap();

    let installed = shelf::version(&whole.plugin).unwrap();
    let told = ended.outcome.unwrap().version.unwrap().to_string();
    assert_eq!(
        installed, told,
        "the control plane was told another version than the one installed"
    );
    whole
        .until_shown("plugin_version", |version| *version == installed)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_may_stop_and_start_in_the_middle_of_an_update() {
    let postgres = Postgres::temporary(Durability::Real).unwrap();
    let mut whole = Whole::on(postgres, "exchange").await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    let id = whole.order("update", update_to("1.1.0")).await.unwrap();
    whole.until_installed("1.1.0").await.unwrap();

    whole.postgres.server().unwrap().stop().unwrap();
    assert!(whole.shown().await.is_err(), "the API answers without its database");
    whole.postgres.server().unwrap().launch().unwrap();

    let ended = whole.ended(&id).await.unwrap();
    assert_eq!(ended.status, "completed", "{}\n{}", ended.raw, whole.logs());
    whole
        .until_shown("plugin_version", |version| version == "1.1.0")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_says_while_the_control_plane_is_away_arrives_later() {
    let mut whole = Whole::start("exchange").await.unwrap();
    whole.until_shown("last_heartbeat", |at| !at.is_null()).await.unwrap();
    whole.control_plane.kill().unwrap();

    for _ in 0..7 {
        whole.say("errors:1|c").unwrap();
    }
    // Long enough for a window to close meanwhile; what is checked below does not depend on it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    whole.control_plane.launch().unwrap();

    let told = wait::until_async("the errors in the API", LIMIT, async || {
        let shown = whole.shown().await.unwrap_or_default();
        let errors = shown
            .pointer("/telemetry/errors_last_24h")
            .and_then(serde_json::Value::as_u64);
        Ok(errors.filter(|count| *count > 0))
    });
    assert_eq!(told.await.unwrap(), 7, "{}", whole.logs());
}
