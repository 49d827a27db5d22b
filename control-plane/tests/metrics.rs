//! What Prometheus sees, and that the dashboard and the alerts ask for what there is.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::{collections::BTreeSet, path::Path, process::Command};

use plugmend_control_plane::{
    http::metrics::install,
    jobs::{Figures, Reconciler as _},
};
use support::plane::Plane;

const RULES: &str = include_str!("../../packaging/prometheus/plugmend.rules.yml");
const DASHBOARD: &str = include_str!("../../packaging/grafana/plugmend.json");

/// Every name of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("plugmend_") {
        let end = text[at..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = &text[at..at + end.unwrap_or(text.len() - at)];
        let base = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|tail| name.strip_suffix(tail));
        names.insert(base.unwrap_or(name).to_owned());
    }
    names
}

async fn scraped(plane: &Plane) -> String {
    let answer = plane.api.send_with("GET", "/metrics", &[], "").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    String::from_utf8(answer.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    install().unwrap();
    let plane = Plane::start().await;
    let plugin = plane.plugin().await;
    let beat = plugin.beat(plane.now()).to_string();
    plane
        .api
        .send("POST", "/api/plugins/heartbeat", &plugin.secret, beat)
        .await
        .expect(200);
    plane
        .database
        .run(&format!(
            "INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity) VALUES ('{}', 'error_spike', 'low');
             INSERT INTO sira_learning_feedback (actual_outcome, feedback_label, source, confidence, created_at)
             VALUES ('success', 'positive', 'built_in', 0.8, now() - interval '1 minute')",
            plugin.id
        ))
        .await;
    plane.advance(60);
    Figures::new(plane.state.db.clone())
        .activate(plane.now())
        .await
        .unwrap();
    // Two things that a running process counts by itself.
    metrics::counter!("plugmend_job_runs_total", "job" => "figures", "outcome" => "done").increment(1);
    let shown = scraped(&plane).await;
    let has = named(&shown);
    for (whose, text) in [("the alerts", RULES), ("the dashboard", DASHBOARD)] {
        let missing: Vec<_> = named(text).difference(&has).cloned().collect();
        assert!(missing.is_empty(), "{whose} ask for {missing:?}");
    }
    assert!(shown.contains("plugmend_autopatch_enabled 1"));
    assert!(shown.contains(r#"plugmend_incidents_open{severity="low"} 1"#));
    assert!(
        shown.contains(r#"plugmend_kpi_target{kpi="mttd_s",bound="at_most"} 120"#),
        "{shown}"
    );
    assert!(shown.contains(r#"plugmend_http_request_seconds_count{path="/api/plugins/heartbeat",status="200"}"#));
}

#[tokio::test]
async fn a_proxy_does_not_pass_them_on() {
    install().unwrap();
    let plane = Plane::start().await;
    let through = plane
        .api
        .send_with("GET", "/metrics", &[("x-forwarded-for", "10.0.0.1")], "")
        .await;
    through.refuses(401, "unauthorized");
}

#[test]
fn promtool_takes_the_alerts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus");
    let promtool = |arguments: &[&str]| Command::new("promtool").args(arguments).current_dir(&folder).output();
    let Ok(checked) = promtool(&["check", "rules", "plugmend.rules.yml"]) else {
        println!("SKIPPED: there is no promtool here (Debian's package prometheus has it)");
        return;
    };
    let tested = promtool(&["test", "rules", "plugmend.tests.yml"]).unwrap();
    for out in [checked, tested] {
        let words = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{words}");
    }
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels {
        let place = &panel["gridPos"];
        assert!(
            place["x"].as_i64().unwrap() + place["w"].as_i64().unwrap() <= 24,
            "{panel}"
        );
    }
    assert_eq!(dashboard["uid"], "plugmend");
}
