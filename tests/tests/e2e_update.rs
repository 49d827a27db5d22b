//! From first contact to a changed setting, through the real programs.
#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::fs;

use plugmend_shared::protocol::command::OutcomeStatus;
use plugmend_tests::{
    shop::shelf,
    system::{FIRST, Whole, update_to},
};
use serde_json::{Value, json};

async fn goes_all_the_way(layout: &str) {
    let whole = Whole::start(layout).await.unwrap();
    whole.until_shown("last_heartbeat", |at| !at.is_null()).await.unwrap();
    whole
        .until_shown("plugin_version", |version| version == FIRST)
        .await
        .unwrap();

    whole.publish("1.1.0", shelf::write).unwrap();
    let update = whole.update("1.1.0").await.unwrap();
    assert_eq!(update.status, "completed", "{}\n{}", update.raw, whole.logs());
    let outcome = update.outcome.unwrap();
    assert_eq!(outcome.status, OutcomeStatus::Committed);
    assert!(outcome.bytes_fetched > 0);
    whole.until_installed("1.1.0").await.unwrap();
    whole
        .until_shown("plugin_version", |version| version == "1.1.0")
        .await
        .unwrap();

    let order = json!({"config": {"colour": "green"}});
    let id = whole.order("config_update", order).await.unwrap();
    let changed = whole.ended(&id).await.unwrap();
    assert_eq!(changed.status, "completed", "{}\n{}", changed.raw, whole.logs());
    assert_eq!(settings(&whole)["colour"], "green");

    let id = whole.order("rollback", update_to(FIRST)).await.unwrap();
    let back = whole.ended(&id).await.unwrap();
    assert_eq!(back.status, "completed", "{}\n{}", back.raw, whole.logs());
    whole.until_installed(FIRST).await.unwrap();
    assert_eq!(
        settings(&whole)["colour"],
        "green",
        "a setting was lost by the roll-back"
    );
}

fn settings(whole: &Whole) -> Value {
    serde_json::from_slice(&fs::read(whole.plugin.join("settings.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_enrolled_updated_set_and_rolled_back_by_exchange() {
    goes_all_the_way("exchange").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_enrolled_updated_set_and_rolled_back_by_symlink() {
    goes_all_the_way("symlink").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_may_not_be_carried_out_changes_nothing() {
    let whole = Whole::start("exchange").await.unwrap();
    // Not published: nobody signed it. Either the API refuses the order or the agent does.
    if let Ok(id) = whole.order("update", update_to("6.6.6")).await {
        assert_eq!(whole.ended(&id).await.unwrap().status, "failed");
    }
    // Kept for the host alone by the signed manifest.
    if let Ok(id) = whole
        .order("config_update", json!({"config": {"account": "the thief's"}}))
        .await
    {
        assert_eq!(whole.ended(&id).await.unwrap().status, "failed");
    }
    assert_eq!(shelf::version(&whole.plugin).as_deref(), Some(FIRST));
    assert!(!whole.plugin.join("settings.json").exists());
}
