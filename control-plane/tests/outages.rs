//! Heartbeats when the database refuses, is slow, or goes away: what was answered is kept, the rest comes again.

mod support;

use plugmend_control_plane::service::ingest::IngestOptions;
use serde_json::{Value, json};
use support::{
    cut::Cut,
    database::TestDatabase,
    eventually,
    plane::{INGEST, Plane, Plugin},
};

const PATH: &str = "/api/plugins/heartbeat";

async fn beat(plane: &Plane, plugin: &Plugin, body: &Value) -> support::http::Answer {
    plane.api.send("POST", PATH, &plugin.secret, body.to_string()).await
}

#[tokio::test]
async fn one_that_the_database_refuses_does_not_take_the_others_with_it() {
    let options = IngestOptions {
        flushers: 1,
        delay: std::time::Duration::from_millis(200),
        ..INGEST
    };
    let database = TestDatabase::migrated().await;
    let url = database.url.clone();
    let plane = Plane::start_on(database, &url, options);
    let (good, bad) = (plane.plugin().await, plane.plugin().await);
    plane
        .database
        .run("ALTER TABLE merchant_plugins ADD CHECK (plugin_version <> '6.6.6')")
        .await;
    let mut poison = bad.beat(plane.now());
    poison["plugin_version"] = json!("6.6.6");
    let good_beat = good.beat(plane.now());
    let (refused, taken) = tokio::join!(beat(&plane, &bad, &poison), beat(&plane, &good, &good_beat));
    refused.refuses(500, "internal_error");
    taken.expect(200);
}

#[tokio::test]
async fn a_day_without_partition_gets_one() {
    let mut plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    plane
        .database
        .run("SELECT drop_telemetry_partitions(current_date + 10, 100)")
        .await;
    gateway
        .send(
            "POST",
            PATH,
            "",
            plugin.agent_beat(plane.now(), 1, &[(1, 0)]).to_string(),
        )
        .await
        .expect(200);
    assert_eq!(plane.database.number("SELECT count(*) FROM plugin_telemetry").await, 1);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_told_to_come_back() {
    let database = TestDatabase::migrated().await;
    let url = database.url.clone();
    let options = IngestOptions {
        flushers: 1,
        batch: 1,
        queue: 1,
        ..INGEST
    };
    let plane = Plane::start_on(database, &url, options);
    let plugin = plane.plugin().await;
    // Somebody holds the plugin's row: the flusher waits for it with one heartbeat in hand and one in the queue.
    let mut holder = plane.database.db.begin().await.unwrap();
    plugmend_control_plane::store::plugin::lock(&mut holder, plugin.id)
        .await
        .unwrap();
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (api, secret, body) = (
            plane.api.clone(),
            plugin.secret.clone(),
            plugin.beat(plane.now()).to_string(),
        );
        answers.spawn(async move { api.send("POST", PATH, &secret, body).await });
    }
    let refused = answers.join_next().await.unwrap().unwrap();
    refused.refuses(503, "try_again_later");
    assert_eq!(refused.headers["retry-after"], "5");
    holder.rollback().await.unwrap();
    let mut taken = 0;
    while let Some(answer) = answers.join_next().await {
        taken += i32::from(answer.unwrap().status == 200);
    }
    assert!(taken >= 1);
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_when_the_database_goes_and_comes() {
    let database = TestDatabase::migrated().await;
    let (cut, url) = Cut::url(&database.url).await;
    let mut plane = Plane::start_on(database, &url, INGEST);
    let mut agents = tokio::task::JoinSet::new();
    let stop = tokio::sync::watch::Sender::new(false);
    for _ in 0..10 {
        let plugin = plane.agent_plugin().await;
        let gateway = plane.gateway(&plugin);
        let (now, stop) = (plane.now(), stop.subscribe());
        agents.spawn(async move {
            let (mut answered, mut refused) = (Vec::new(), 0_u32);
            for seq in 1.. {
                if *stop.borrow() {
                    break;
                }
                let minutes_ago = i64::try_from(seq % 1440).unwrap();
                let body = plugin.agent_beat(now, seq, &[(seq, minutes_ago)]).to_string();
                let answer = gateway.send("POST", PATH, "", body).await;
                match answer.status {
                    200 => answered.push(seq),
                    503 => refused += 1,
                    other => panic!("{other}: {}", answer.body),
                }
            }
            (plugin.id, answered, refused)
        });
    }
    for _ in 0..3 {
        let before = plane.database.number("SELECT count(*) FROM plugin_telemetry").await;
        eventually("heartbeats", || async {
            (plane.database.number("SELECT count(*) FROM plugin_telemetry").await > before + 20).then_some(())
        })
        .await;
        cut.cut();
        let api = plane.api.clone();
        eventually("not ready", || async {
            (api.send("GET", "/readyz", "", "").await.status == 503).then_some(())
        })
        .await;
        cut.mend();
        eventually("ready", || async {
            (api.send("GET", "/readyz", "", "").await.status == 200).then_some(())
        })
        .await;
    }
    stop.send_replace(true);
    while let Some(agent) = agents.join_next().await {
        let (id, answered, refused) = agent.unwrap();
        assert!(refused > 0, "the cut was not felt");
        let query =
            format!("SELECT string_agg(seq::text, ',' ORDER BY seq) FROM plugin_telemetry WHERE plugin_id = '{id}'");
        let kept: std::collections::BTreeSet<u64> = plane
            .database
            .text(&query)
            .await
            .unwrap()
            .split(',')
            .map(|seq| seq.parse().unwrap())
            .collect();
        let lost: Vec<_> = answered.iter().filter(|seq| !kept.contains(seq)).collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}");
    }
}
