//! The kill switch, as the runbook writes it, in mid-flight: two replicas of the real control plane, agents' connections
//! to both, long polls open and orders in hand.

use plugmend_shared::protocol::command::CommandKind;
use plugmend_tests::kill_switch::{Stage, switch};
use serde_json::json;

const ATTEMPTS: &str = "plugin_autopatch_attempts";
const ORDERS: &str = "plugin_agent_commands";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_counts_at_once_on_every_replica_and_for_every_agent() {
    let stage = Stage::start(3).await.unwrap();
    // At each replica: one agent with an order in hand, one whose order waits for it, one that waits for an order.
    let (in_hand, waited_for, waiting) = ([0, 3], [1, 4], [2, 5]);
    stage.fall_ill(&[0, 3, 1, 4]).await.unwrap();
    let mut orders = Vec::new();
    for who in in_hand {
        let order = stage.order(who).await.unwrap();
        assert!(stage.members[who].client.may_go(order.id).await.unwrap().go);
        orders.push(order);
    }
    stage.until(ORDERS, "status = 'pending'", &waited_for, 2).await.unwrap();
    let polls = waiting.map(|who| {
        let member = stage.members[who].clone();
        tokio::spawn(async move { member.client.poll_commands(10).await })
    });

    let mut person = stage.person().await.unwrap();
    switch(&mut person, false).await.unwrap();

    // The statement is done: from here on nothing begins anywhere.
    for (who, order) in in_hand.into_iter().zip(&orders) {
        let word = stage.members[who].client.may_go(order.id).await.unwrap();
        assert!(!word.go && word.reason.unwrap().contains("switched off"));
        stage.did_not_begin(who, order).await.unwrap();
    }
    for who in waited_for {
        let polled = stage.members[who].client.poll_commands(1).await.unwrap();
        assert!(polled.commands.is_empty(), "{polled:?}");
    }
    // Who falls ill now gets nothing, though it waits for it; a person's order still comes through.
    stage.fall_ill(&waiting).await.unwrap();
    for poll in polls {
        assert!(poll.await.unwrap().unwrap().commands.is_empty());
    }
    assert_eq!(stage.count(ATTEMPTS, "true", &waiting).await.unwrap(), 0);
    let restart = json!({ "type": "restart", "reason": "a person's" });
    let plugin = stage.plugins(&waiting)[0].to_string();
    stage.replicas[1].ops().order(&plugin, &restart).await.unwrap();
    let order = stage.order(waiting[0]).await.unwrap();
    assert_eq!(order.kind, CommandKind::Restart);
    let called_off = "status = 'cancelled' AND end_reason = 'withdrawn'";
    stage.until(ATTEMPTS, called_off, &[0, 3, 1, 4], 4).await.unwrap();
    let untouched = stage.count(ORDERS, "status = 'completed'", &[0, 1, 2, 3, 4, 5]).await;
    assert_eq!(untouched.unwrap(), 0);

    // On again: it goes on where it stood.
    switch(&mut person, true).await.unwrap();
    for who in [0, 1, 3, 4, 5] {
        let order = stage.order(who).await.unwrap();
        assert_eq!(order.kind, CommandKind::Update, "agent {who}");
    }
}
