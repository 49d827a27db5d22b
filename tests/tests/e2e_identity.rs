//! Who an agent is, and what happens when that is in doubt.

use std::process::Command;

use plugmend_tests::{
    npm,
    shop::shelf,
    system::{FIRST, LIMIT, Whole, update_to},
    wait,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_agent_gets_no_more_orders_though_its_connection_is_open() {
    let whole = Whole::start("exchange").await.unwrap();
    whole.until_shown("last_heartbeat", |at| !at.is_null()).await.unwrap();
    whole.publish("1.1.0", shelf::write).unwrap();
    let ops = whole.control_plane.ops();
    let path = format!("/api/ops/agents/{}", whole.agent.plugin_id());
    ops.post(&format!("{path}/revoke"), &json!({"reason": "a test"}))
        .await
        .unwrap();

    // Either the order is not taken or it never reaches the agent.
    let taken = whole.order("update", update_to("1.1.0")).await;

    if let Ok(id) = taken {
        let command = ops.get(&format!("/api/ops/commands/{id}")).await.unwrap();
        assert!(command["acknowledged_at"].is_null(), "{command}");
    }
    assert_eq!(shelf::version(&whole.plugin).as_deref(), Some(FIRST));
    let shown = ops.get(&path).await.unwrap();
    assert!(shown.to_string().contains("revoked"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_identity_is_seen_and_shown() {
    let mut whole = Whole::start("exchange").await.unwrap();
    whole.until_shown("last_heartbeat", |at| !at.is_null()).await.unwrap();
    // A thief takes the state folder along, key and all, and goes on with it beside another shop. The ledger would
    // give it away at once, so the thief leaves that out.
    let copy = whole.agent.state_dir().with_extension("copy");
    npm::run(Command::new("cp").arg("-a").arg(whole.agent.state_dir()).arg(&copy)).unwrap();
    for entry in std::fs::read_dir(&copy).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("ledger") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut twin = whole.agent.twin(&copy, &whole.plugin).unwrap();
    twin.launch().unwrap();

    let ops = whole.control_plane.ops();
    let path = format!("/api/ops/agents/{}", whole.agent.plugin_id());
    let fenced = wait::until_async("the fence", LIMIT, async || {
        let shown = ops.get(&path).await?;
        Ok(shown.to_string().contains("fenced").then_some(()))
    });
    fenced.await.unwrap_or_else(|error| {
        let twins = std::fs::read_to_string(twin.log()).unwrap_or_default();
        panic!("{error:#}\n{}\nits twin's log:\n{twins}", whole.logs())
    });
    whole.agent.stop().unwrap();
}
