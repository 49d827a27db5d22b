//! What stops a cure, and what calls people.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_control_plane::{
    service::healing::{Hearing, Together, find_silent, listen},
    store,
};
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
async fn the_kill_switch_does_not_wait_for_those_who_wait_for_their_turn() {
    let mut case = Case::begin().await;
    case.plane
        .database
        .run("UPDATE ops_policy SET require_staging_test = false")
        .await;
    case.beat(sick()).await;
    // Somebody has the fleet's turn, and keeps it.
    let mut turn = case.plane.state.db.begin().await.unwrap();
    store::attempt::lock_turn(&mut turn).await.unwrap();
    let switch = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        support::eventually("somebody who waits for the turn", || async {
            (case.plane.database.number(waiting).await > 0).then_some(())
        })
        .await;
        case.plane
            .database
            .run("SET lock_timeout = '5s'; UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
            .await;
        turn.commit().await.unwrap();
    };
    tokio::join!(case.turn(), switch);
    assert_eq!(attempt(&case.plane, "status").await, "pending");
    assert_eq!(
        case.count("plugin_agent_commands").await,
        0,
        "what was read before the switch does not count"
    );
}

#[tokio::test]
async fn a_part_of_the_fleet_that_falls_silent_at_once_is_cut_off_and_ops_are_told_once() {
    let plane = support::plane::Plane::start().await;
    let merchant = plane.plugin().await.merchant_id;
    let fill = format!(
        "DELETE FROM merchant_plugins;
         INSERT INTO merchant_plugins (merchant_id, cms, plugin_version, status, last_heartbeat)
         SELECT '{merchant}', 'node', '1.0.0', 'active', '{now}'::timestamptz
           - CASE WHEN n <= 25 THEN interval '9 minutes' + n * interval '5 seconds'
                  WHEN n = 26 THEN interval '40 minutes' ELSE interval '0' END
         FROM generate_series(1, 200) n",
        now = plane.now()
    );
    plane.database.run(&fill).await;
    let db = plane.state.db.clone();
    let look = async || {
        let together = listen(&db, plane.now()).await.unwrap();
        find_silent(&db, (Hearing::default(), &together), None, plane.now())
            .await
            .unwrap()
            .1
    };
    let missed = "SELECT count(*) FROM plugin_incidents WHERE incident_type = 'heartbeat_missed'";
    let told = "SELECT count(*) FROM outbox_events WHERE kind = 'fleet.silent_together'";
    assert_eq!(look().await, 26);
    assert_eq!(plane.database.number(missed).await, 1, "the one that fell silent alone");
    assert_eq!(plane.database.number(told).await, 1);
    // Most come back: the others are no more to blame than before.
    let back = "UPDATE merchant_plugins SET last_heartbeat = now()
                WHERE id IN (SELECT id FROM merchant_plugins ORDER BY last_heartbeat OFFSET 6)";
    plane.database.run(back).await;
    assert_eq!(look().await, 0);
    assert_eq!(plane.database.number(missed).await, 1);
    // Hours later it is they.
    plane.advance(3 * 3600);
    let alive = format!(
        "UPDATE merchant_plugins SET last_heartbeat = '{}' WHERE id IN
           (SELECT id FROM merchant_plugins ORDER BY last_heartbeat OFFSET 6)",
        plane.now()
    );
    plane.database.run(&alive).await;
    look().await;
    assert_eq!(plane.database.number(missed).await, 6);
}

#[tokio::test]
async fn silence_is_an_incident_after_eight_and_a_half_minutes_and_over_with_the_next_word() {
    let mut case = Case::begin().await;
    case.beat(json!({})).await;
    let look = |case: &Case| {
        let (db, now) = (case.plane.state.db.clone(), case.plane.now());
        async move {
            let hearing = Hearing::default().look(now, None, 1);
            find_silent(&db, (hearing, &Together::default()), None, now)
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
