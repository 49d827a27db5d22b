//! The fleet at a glance, how well it is kept, and the course of an incident.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{
    case::Case,
    fleet::{Size, fill},
    healing::{attempt, incident},
    plane::Plane,
};

async fn get(plane: &Plane, path: &str) -> Value {
    plane.ops("GET", path, Value::Null).await.expect(200)
}

#[tokio::test]
async fn the_fleet_at_a_glance_adds_up() {
    let plane = Plane::start().await;
    let size = Size {
        merchants: 10,
        plugins: 400,
        incidents: 1400,
        audit: 10,
    };
    fill(&plane.database, size).await;
    let overview = get(&plane, "/api/ops/overview").await;
    assert_eq!(overview["plugins"]["total"], 400);
    let healths = overview["plugins"]["by_health"].as_object().unwrap();
    let sum: i64 = healths.values().filter_map(Value::as_i64).sum();
    assert_eq!(sum, 400);
    for (health, shown) in healths {
        let sql =
            format!("SELECT count(*) FROM merchant_plugins WHERE plugmend_health(id, status, heard) = '{health}'");
        assert_eq!(shown.as_i64().unwrap(), plane.database.number(&sql).await, "{health}");
    }
    assert_eq!(overview["incidents_by_status"]["escalated"], 2);
    assert_eq!(overview["kill_switch"]["autopatch_enabled"], true);
    let one = get(
        &plane,
        "/api/ops/overview?merchant_id=00000001-0000-7000-8000-000000000005",
    )
    .await;
    assert_eq!(one["plugins"]["total"], 40);
}

#[tokio::test]
async fn what_was_counted_a_moment_ago_is_not_counted_again() {
    let plane = Plane::start().await;
    plane.plugin().await;
    assert_eq!(get(&plane, "/api/ops/overview").await["plugins"]["total"], 1);
    plane.plugin().await;
    plane.advance(3);
    assert_eq!(get(&plane, "/api/ops/overview").await["plugins"]["total"], 1);
    plane.advance(3);
    assert_eq!(get(&plane, "/api/ops/overview").await["plugins"]["total"], 2);
}

#[tokio::test]
async fn the_worked_example_counts() {
    let mut case = Case::begin().await;
    let before = get(&case.plane, "/api/ops/kpis?days=1").await;
    assert_eq!(before["success_rate"], Value::Null, "of nothing nothing is said");
    let order = case.ordered().await;
    case.plane.advance(60);
    case.committed(&order).await;
    case.beat(json!({ "plugin_version": "1.2.3" })).await;
    case.turn().await;
    case.beat(json!({ "plugin_version": "1.2.3" })).await;
    case.turn().await;
    assert_eq!(attempt(&case.plane, "status").await, "success");
    case.plane.advance(10);
    let kpis = get(&case.plane, "/api/ops/kpis?days=1").await;
    assert_eq!(
        (&kpis["success_rate"], &kpis["rollback_rate"]),
        (&json!(1.0), &json!(0.0)),
        "{kpis}"
    );
    assert_eq!(kpis["ended"]["success"], 1);
    assert_eq!(kpis["incidents_by_type"]["webhook_fail_rate"], 1);
    assert_eq!(kpis["mttr"]["count"], 1);
    assert!(kpis["mttr"]["mean_s"].as_f64().unwrap() >= 60.0);
    let target = |name: &str| {
        let targets = kpis["targets"].as_array().unwrap().clone();
        targets.into_iter().find(|target| target["kpi"] == name).unwrap()
    };
    assert_eq!(target("success_rate")["holds"], true);
    assert_eq!(target("mttr_s")["target"], 600.0);
    assert_eq!(kpis["confidence"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn days_have_their_bounds() {
    let plane = Plane::start().await;
    for days in ["0", "367", "-1", "x"] {
        let answer = plane
            .ops("GET", &format!("/api/ops/kpis?days={days}"), Value::Null)
            .await;
        answer.refuses(400, "invalid_query");
    }
}

#[tokio::test]
async fn the_course_of_an_incident_is_told_in_order() {
    let mut case = Case::begin().await;
    let windows = |now: jiff::Timestamp, seq: u64, failed: u64| {
        let from = now - jiff::SignedDuration::from_secs(120);
        json!([{ "seq": seq, "from": from, "to": now, "requests": 100, "errors": 2, "webhook_total": 10,
                 "webhook_failed": failed }])
    };
    for seq in 1..4 {
        let now = case.plane.now() + jiff::SignedDuration::from_secs(120);
        case.beat(json!({ "windows": windows(now, seq, 0) })).await;
    }
    let order = case.ordered().await;
    case.committed(&order).await;
    for seq in 5..7 {
        let now = case.plane.now() + jiff::SignedDuration::from_secs(120);
        case.beat(json!({ "plugin_version": "1.2.3", "windows": windows(now, seq, 0) }))
            .await;
        case.turn().await;
    }
    let id = incident(&case.plane, "id").await;
    let course = get(&case.plane, &format!("/api/ops/plugin-incidents/{id}/timeline")).await;
    let moments = course["moments"].as_array().unwrap();
    let kinds: Vec<_> = moments.iter().map(|moment| moment["kind"].as_str().unwrap()).collect();
    // The trail goes by the database's clock, the rest by the test's.
    let noted = [
        "incident_opened",
        "incident_decided",
        "attempt_created",
        "attempt_staged",
        "attempt_applying",
        "attempt_success",
    ];
    let ordered = [
        "command_created",
        "command_sent",
        "command_completed",
        "version_changed",
    ];
    for family in [&noted[..], &ordered[..]] {
        let mut told = kinds.iter();
        for kind in family {
            assert!(told.any(|told| told == kind), "{kind} in its place among {kinds:?}");
        }
    }
    let times: Vec<_> = moments.iter().map(|moment| moment["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let points = course["series"]["points"].as_array().unwrap();
    assert_eq!(
        points
            .iter()
            .map(|point| point["requests"].as_i64().unwrap())
            .sum::<i64>(),
        500
    );
    assert_eq!(course["series"]["changes"][0]["to_version"], "1.2.3");
}

#[tokio::test]
async fn there_is_no_course_of_no_incident() {
    let plane = Plane::start().await;
    for id in ["00000003-0000-7000-8000-0000000000ff", "x"] {
        let path = format!("/api/ops/plugin-incidents/{id}/timeline");
        plane
            .ops("GET", &path, Value::Null)
            .await
            .refuses(404, "unknown_incident");
    }
}
