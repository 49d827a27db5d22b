//! A release that is worse than its siblings: found from what the plugins say together, decided to be taken back, at every
//! plugin that it makes ill.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use jiff::SignedDuration;
use plugmend_control_plane::{
    domain::decision::Action,
    jobs::{FleetFindings, Reconciler as _},
    service::decide::decide,
    sira::Sira,
};
use serde_json::{Value, json};
use support::{
    http::HttpClient,
    plane::{Plane, Plugin},
};

/// A small fleet on 1.2.2, known for half a day.
struct Fleet {
    plane: Plane,
    shops: Vec<(Plugin, HttpClient)>,
    seq: u64,
}

impl Fleet {
    async fn open(shops: usize) -> Self {
        let mut plane = Plane::start().await;
        for version in ["1.2.2", "1.2.3"] {
            plane.release(version).await;
        }
        let mut fleet = Vec::new();
        for _ in 0..shops {
            let plugin = plane.agent_plugin().await;
            let gateway = plane.gateway(&plugin);
            fleet.push((plugin, gateway));
        }
        let mut fleet = Self {
            plane,
            shops: fleet,
            seq: 0,
        };
        for _ in 0..2 {
            fleet.beat("1.2.2", 200, &|_| 10).await;
        }
        fleet
    }

    /// Time goes on by so many windows of two minutes, and each shop says how many of 1,000 requests failed in each.
    async fn beat(&mut self, version: &str, windows: i64, errors: &dyn Fn(usize) -> u64) {
        self.plane.advance(windows * 120);
        let (now, first) = (self.plane.now(), self.seq);
        self.seq += u64::try_from(windows).unwrap();
        for (shop, (plugin, gateway)) in self.shops.iter().enumerate() {
            let mut body = plugin.agent_beat(now, self.seq, &[]);
            body["plugin_version"] = json!(version);
            body["uptime"] = json!(1_000_000);
            body["webhook_fail_rate"] = json!(0.0);
            body["windows"] = (1..=windows)
                .map(|i| {
                    let to = now - SignedDuration::from_secs((windows - i) * 120);
                    json!({ "seq": first + u64::try_from(i).unwrap(), "from": to - SignedDuration::from_secs(120),
                            "to": to, "requests": 1000, "errors": errors(shop), "webhook_total": 0, "webhook_failed": 0 })
                })
                .collect::<Value>();
            let answer = gateway
                .send("POST", "/api/plugins/heartbeat", "", body.to_string())
                .await;
            answer.expect(200);
        }
    }

    async fn look(&self) {
        let job = FleetFindings::new(self.plane.state.db.clone());
        job.activate(self.plane.now()).await.unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        self.plane.database.number(&format!("SELECT count(*) FROM {sql}")).await
    }
}

const LIVE: &str = "plugin_incidents WHERE incident_type = 'telemetry_anomaly' AND status <> 'closed'";

#[tokio::test]
async fn every_plugin_that_a_bad_release_makes_ill_is_rolled_back() {
    let mut fleet = Fleet::open(5).await;
    fleet.look().await;
    assert_eq!(fleet.count("fleet_findings").await, 0);
    // At all but one of them, twice as much fails with the new version: too little to be sure of any of them alone.
    fleet.beat("1.2.3", 1, &|_| 10).await;
    fleet.beat("1.2.3", 2, &|shop| if shop == 4 { 10 } else { 22 }).await;
    assert_eq!(fleet.count("plugin_incidents").await, 0);
    fleet.look().await;
    assert_eq!(
        fleet
            .count("fleet_findings WHERE version = '1.2.3' AND ended_at IS NULL")
            .await,
        1
    );
    assert_eq!(fleet.count(LIVE).await, 4, "the one that is well is left alone");

    // Each is decided as what it is: the release's fault.
    for (number, (plugin, _)) in fleet.shops.iter().enumerate().take(4) {
        let found = format!(
            "SELECT id::text FROM plugin_incidents WHERE merchant_plugin_id = '{}'",
            plugin.id
        );
        let incident = fleet.plane.database.text(&found).await.unwrap().parse().unwrap();
        let random = [u8::try_from(number).unwrap(); 10];
        let (db, now) = (&fleet.plane.state.db, fleet.plane.now());
        let decided = decide(db, &Sira::new(None), incident, random, now)
            .await
            .unwrap()
            .decided;
        let decision = decided.decision;
        assert_eq!(decision.action, Action::Rollback, "{}", decision.explanation);
        assert_eq!(decision.patch_version, Some("1.2.2".parse().unwrap()));
        assert!(
            decision.explanation.contains("Across the fleet 1.2.3"),
            "{}",
            decision.explanation
        );
    }

    // Looking again opens nothing more, and a heartbeat that is still sick closes nothing.
    fleet.look().await;
    fleet.beat("1.2.3", 1, &|shop| if shop == 4 { 10 } else { 22 }).await;
    fleet.look().await;
    assert_eq!(fleet.count(LIVE).await, 4);
    assert_eq!(
        fleet
            .count("plugin_detectors WHERE 'telemetry_anomaly' = ANY (ill)")
            .await,
        4
    );

    // Back on the version before, the plugins no longer speak against what they run.
    fleet.beat("1.2.2", 3, &|_| 10).await;
    assert_eq!(
        fleet
            .count("plugin_detectors WHERE 'telemetry_anomaly' = ANY (ill)")
            .await,
        0
    );
}

#[tokio::test]
async fn a_release_that_is_bad_a_little_everywhere_is_found_without_a_platform() {
    let fleet = Fleet::open(3).await;
    fleet
        .plane
        .database
        .run(
            "UPDATE merchant_plugins SET plugin_version = '1.2.3';
             UPDATE merchant_plugins SET cms = (ARRAY['node', 'php', 'python'])[number]
             FROM (SELECT id, row_number() OVER () AS number FROM merchant_plugins) AS one
             WHERE one.id = merchant_plugins.id;
             UPDATE plugin_detectors SET word = 3;",
        )
        .await;
    fleet.look().await;
    assert_eq!(fleet.count("fleet_findings WHERE platform = ''").await, 1);
    assert_eq!(fleet.count("fleet_findings").await, 1);
    assert_eq!(fleet.count(LIVE).await, 3);
}

#[tokio::test]
async fn a_release_is_blamed_by_no_two_plugins_and_by_nobody_who_says_little() {
    let fleet = Fleet::open(4).await;
    let words = |words: &str| {
        format!(
            "UPDATE merchant_plugins SET plugin_version = '1.2.3';
             UPDATE plugin_detectors SET word = ({words})[number]
             FROM (SELECT plugin_id AS id, row_number() OVER () AS number FROM plugin_detectors) AS one
             WHERE one.id = plugin_id;"
        )
    };
    for said in ["ARRAY[5, 5, -1, -1]", "ARRAY[1.4, 1.4, 1.4, 1.4]", "ARRAY[2, 2, 2, -1]"] {
        fleet.plane.database.run(&words(said)).await;
        fleet.look().await;
        assert_eq!(fleet.count("fleet_findings").await, 0, "{said}");
    }
    assert_eq!(fleet.count("plugin_incidents").await, 0);
}
