//! What stops a cure, and what calls people.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    case::Case,
    healing::{attempt, incident, patch, sick},
};

#[tokio::test]
async fn the_kill_switch_withdraws_what_is_not_begun_and_leaves_ways_back_alone() {
    let mut case = Case::begin().await;
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(case.count("plugin_agent_commands WHERE status = 'pending'").await, 1);
    case.plane
        .database
        .run("UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
        .await;
    assert_eq!(case.order().await, Value::Null);
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "cancelled withdrawn"
    );
    assert_eq!(
        case.count("plugin_agent_commands WHERE created_by = 'take-back'").await,
        0
    );
    case.plane.advance(3600);
    case.turn().await;
    assert_eq!(
        (
            case.count("plugin_autopatch_attempts").await,
            case.loops.decider.asked()
        ),
        (1, 1)
    );
    // On again: it goes on where it stood.
    case.plane
        .database
        .run("UPDATE ops_policy SET autopatch_enabled = true WHERE id = 1")
        .await;
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "applying");
    assert_eq!(case.count("plugin_audit WHERE action = 'policy_changed'").await, 2);
}

#[tokio::test]
async fn an_order_that_the_agent_has_in_hands_is_not_to_be_begun_under_the_kill_switch() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    let may_begin = "plugin_agent_commands command WHERE plugmend_may_begin(command)";
    assert_eq!(case.count(may_begin).await, 1);
    case.plane
        .database
        .run("UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
        .await;
    assert_eq!(case.count(may_begin).await, 0);
    case.say(
        &order,
        "fail",
        json!({ "error": "withdrawn: asked, and told no", "retryable": false }),
    )
    .await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "cancelled withdrawn"
    );
    assert_eq!(
        case.count("plugin_agent_commands WHERE created_by = 'take-back'").await,
        0
    );
}

#[tokio::test]
async fn the_runbooks_cancel_and_take_back_reach_incident_and_plugin() {
    let mut case = Case::begin().await;
    let order = case.ordered().await;
    let cancel =
        "UPDATE plugin_autopatch_attempts SET status = 'cancelled' WHERE status IN ('pending','staging','applying')";
    case.plane.database.run(cancel).await;
    case.committed(&order).await;
    case.turn().await;
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    assert_eq!(case.order().await["type"], "rollback");
    assert_eq!(
        case.count("plugin_autopatch_attempts").await,
        1,
        "what people stopped is not begun again"
    );
}

#[tokio::test]
async fn nothing_is_stuck_an_order_that_ends_in_silence_calls_people() {
    let mut case = Case::begin().await;
    let _order = case.ordered().await;
    case.plane
        .database
        .run("UPDATE plugin_agent_commands SET status = 'timeout', error_message = 'silent'")
        .await;
    case.turn().await;
    assert_eq!(
        attempt(&case.plane, "status || ' ' || end_reason").await,
        "failed unknown"
    );
    assert!(
        incident(&case.plane, "status || ' ' || escalation_reason")
            .await
            .starts_with("escalated unknown")
    );
}

#[tokio::test]
async fn silence_is_an_incident_after_eight_and_a_half_minutes_and_over_with_the_next_word() {
    let mut case = Case::begin().await;
    case.beat(json!({})).await;
    let look = |case: &Case| {
        let (db, now) = (case.plane.state.db.clone(), case.plane.now());
        async move {
            let hearing = plugmend_control_plane::service::healing::Hearing::default().look(now, None, 1);
            plugmend_control_plane::service::healing::find_silent(&db, hearing, None, now)
                .await
                .unwrap()
        }
    };
    case.plane.advance(301);
    assert_eq!(look(&case).await, (None, 1));
    assert_eq!(case.count("plugin_detectors WHERE suspect_since IS NOT NULL").await, 1);
    assert_eq!(case.count("plugin_incidents").await, 0);
    case.plane.advance(210);
    assert_eq!(look(&case).await, (None, 1));
    assert_eq!(look(&case).await, (None, 0), "found once");
    assert_eq!(
        incident(&case.plane, "incident_type || ' ' || status").await,
        "heartbeat_missed open"
    );
    case.loops
        .decider
        .say(plugmend_control_plane::domain::decision::Decision {
            action: plugmend_control_plane::domain::decision::Action::NotifyOps,
            patch_version: None,
            ..patch("1.2.3")
        });
    case.turn().await;
    assert_eq!(incident(&case.plane, "status").await, "escalated");
    case.beat(json!({})).await;
    case.turn().await;
    assert_eq!(
        incident(&case.plane, "status || ' ' || resolution").await,
        "closed recovered"
    );
    assert_eq!(case.count("plugin_detectors WHERE suspect_since IS NOT NULL").await, 0);
}

#[tokio::test]
async fn a_merchants_wishes_hold_a_cure_back_and_let_it_go_at_once() {
    let mut case = Case::begin().await;
    let wishes = format!("/api/ops/merchants/{}/wishes", case.plugin.merchant_id);
    // A window that is shut now, and for hours to come.
    let hour = |ahead: i64| (case.plane.now() + jiff::SignedDuration::from_hours(ahead)).to_string()[11..16].to_owned();
    let window = json!({ "maintenance_window": { "from": hour(3), "to": hour(4) } });
    case.plane.ops("POST", &wishes, window).await.expect(200);
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "pending");
    let asleep = "plugin_autopatch_attempts WHERE next_look_at > now() + interval '1 hour'";
    assert_eq!(case.count(asleep).await, 1);
    let any_time = json!({ "maintenance_window": null });
    case.plane.ops("POST", &wishes, any_time).await.expect(200);
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "applying");
}

#[tokio::test]
async fn a_merchant_that_opted_out_is_changed_by_people_only() {
    let mut case = Case::begin().await;
    let wishes = format!("/api/ops/merchants/{}/wishes", case.plugin.merchant_id);
    case.plane
        .ops("POST", &wishes, json!({ "opt_out": true }))
        .await
        .expect(200);
    case.beat(sick()).await;
    case.turn().await;
    assert_eq!(case.count("plugin_agent_commands").await, 0);
    let reason = incident(&case.plane, "status || ' ' || escalation_reason").await;
    assert!(reason.starts_with("escalated") && reason.contains("opted"), "{reason}");
}
