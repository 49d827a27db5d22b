//! What stops a healing, what only delays it, and what it heals beside sick code: through the real programs.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{fs, time::Instant};

use anyhow::Result;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use plugmend_tests::{
    shop::shelf,
    system::{FIRST, Healing, Plan},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SWITCH_OFF: &str = "UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1";
const SWITCH_ON: &str = "UPDATE ops_policy SET autopatch_enabled = true WHERE id = 1";
const TAKE_BACK: &str = "UPDATE plugin_autopatch_attempts SET status = 'rolled_back', rollback_reason = 'a test', \
     rolled_back_at = now() WHERE status = 'success' AND executed_at > now() - interval '1 hour'";

/// A smoke test that takes its time, so that an order is in the agent's hands for long enough to be withdrawn.
fn write_slow(folder: &std::path::Path, version: &str) -> Result<()> {
    shelf::write(folder, version)?;
    Ok(fs::write(folder.join("slow"), "3\n")?)
}

const SLOW_TEST: &str = "\n[[smoke_tests]]\nname = \"it takes its time\"\nargv = [\"sh\", \"-c\", \"sleep $(cat slow)\"]\n\
     timeout_ms = 20000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_in_mid_flight_keeps_the_plugin_as_it_is_and_never_its_way_back() {
    let healing = Healing::start(Plan::default()).await.unwrap();
    let keys = "fixes = [\"webhook_fail_rate\"]\n";
    healing.whole.publish_as("1.1.0", write_slow, keys, SLOW_TEST).unwrap();
    healing.chatter.busy(true);
    // The order is with the agent, which runs the smoke test once more before it changes anything.
    let executing = "SELECT status FROM plugin_agent_commands WHERE attempt_id IS NOT NULL AND status = 'executing'";
    let in_flight = async || Ok((!healing.texts(executing).await?.is_empty()).then_some(()));
    healing.until("an order in the agent's hands", in_flight).await.unwrap();
    let swaps = healing.whole.watcher.swaps().len();

    healing.by_hand(SWITCH_OFF).await.unwrap();

    let attempt = healing.until_attempt("1.1.0", "cancelled").await.unwrap();
    assert_eq!(attempt["end_reason"], "withdrawn", "{attempt:#}");
    assert_eq!(healing.whole.watcher.swaps().len(), swaps, "the plugin was touched");
    assert_eq!(healing.attempts().await.unwrap().len(), 1, "nothing new was begun");

    // On again, it goes on where it stood.
    healing.by_hand(SWITCH_ON).await.unwrap();
    healing.until_attempt("1.1.0", "success").await.unwrap();
    assert_eq!(healing.whole.watcher.version().as_deref(), Some("1.1.0"));

    // Off again: what was done is still taken back.
    healing.by_hand(SWITCH_OFF).await.unwrap();
    assert_eq!(healing.by_hand(TAKE_BACK).await.unwrap(), 1);
    healing.whole.until_installed(FIRST).await.unwrap();
    let with_people = |incident: &Value| matches!(incident["status"].as_str(), Some("escalated" | "closed"));
    healing
        .until_incident("webhook_fail_rate", "with people, or over", with_people)
        .await
        .unwrap();
}

/// A SIRA that answers every question with rubbish; its address.
async fn confused_sira() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let rubbish =
        json!({"action": "patch", "patch_version": "9.9.9", "confidence": 7, "explanation": ["?"]}).to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let rubbish = rubbish.clone();
            let service = service_fn(move |_| {
                let answer = Response::new(Full::new(Bytes::from(rubbish.clone())));
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            tokio::spawn(async move {
                // A caller that hangs up has heard enough.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    format!("http://{at}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confused_sira_is_passed_over_and_a_staging_runner_that_is_down_is_waited_for() {
    let plan = Plan {
        env: vec![
            ("SIRA_API_URL", confused_sira().await),
            ("SIRA_API_TOKEN", "a-token-for-tests".to_owned()),
        ],
        ..Plan::default()
    };
    let mut healing = Healing::start(plan).await.unwrap();
    healing.offer("1.1.0", shelf::write).unwrap();
    healing.runner.stop().unwrap();

    healing.chatter.busy(true);
    let waits = |attempt: &Value| attempt["logs"].to_string().contains("trying again");
    let waiting = async || Ok(healing.attempts().await?.into_iter().find(|attempt| waits(attempt)));
    let attempt = healing.until("an attempt that waits", waiting).await.unwrap();
    assert_eq!(attempt["status"], "staging", "{attempt:#}");
    assert_eq!(healing.whole.watcher.version().as_deref(), Some(FIRST));

    healing.runner.launch().unwrap();
    let attempt = healing.until_attempt("1.1.0", "success").await.unwrap();
    assert_eq!(attempt["staging_result"]["passed"], true, "{attempt:#}");
    assert_eq!(healing.attempts().await.unwrap().len(), 1, "nothing was doubled");
    let incident = &healing.incidents("webhook_fail_rate").await.unwrap()[0];
    assert_eq!(incident["sira_decision"]["source"], "built_in", "{incident:#}");
    let page = healing
        .whole
        .control_plane
        .ops()
        .get("/api/ops/decisions")
        .await
        .unwrap();
    assert!(page.to_string().contains("passed_over"), "{page:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_file_waits_for_a_person_unless_the_policy_lets_it_heal() {
    let healing = Healing::start(Plan::default()).await.unwrap();
    healing.whole.publish("1.1.0", shelf::write).unwrap();
    assert_eq!(healing.whole.update("1.1.0").await.unwrap().status, "completed");
    let intact = |telemetry: &Value| telemetry.pointer("/integrity/intact") == Some(&json!(true));
    healing.whole.until_shown("telemetry", intact).await.unwrap();
    let part = healing.whole.plugin.join("lib/part1");
    let signed = fs::read(&part).unwrap();
    let tamper = |text: &str| fs::write(&part, text).unwrap();
    let healed = async || Ok((fs::read(&part).is_ok_and(|found| found == signed)).then_some(()));

    // By default nobody but a person heals what somebody has changed.
    tamper("somebody was here");
    let with_people = |incident: &Value| incident["status"] == "escalated";
    let incident = healing
        .until_incident("signature_invalid", "with people", with_people)
        .await
        .unwrap();
    assert_eq!(incident["severity"], "critical");
    healing
        .until_told(&healing.ops, "plugin.incident_requires_approval")
        .await
        .unwrap();
    let api = healing.whole.control_plane.ops();
    let id = incident["id"].as_str().unwrap();
    api.post(&format!("/api/ops/plugin-incidents/{id}/approve"), &json!({}))
        .await
        .unwrap();
    healing.until("the signed content", healed).await.unwrap();
    let over = |incident: &Value| incident["status"] == "closed";
    healing.until_incident("signature_invalid", "over", over).await.unwrap();

    // With a policy that lets it, nobody is needed.
    healing
        .by_hand("UPDATE ops_policy SET autopatch_max_severity = 'critical' WHERE id = 1")
        .await
        .unwrap();
    let began = Instant::now();
    tamper("and came back");
    healing.until("the signed content again", healed).await.unwrap();
    eprintln!("healed {:.1} s after the change", began.elapsed().as_secs_f64());
    let attempts = healing.attempts().await.unwrap();
    let methods: Vec<&Value> = attempts.iter().map(|attempt| &attempt["method"]).collect();
    assert_eq!(methods, ["reinstall", "reinstall"]);
    healing
        .until_told(&healing.merchant, "plugin.autopatch_success")
        .await
        .unwrap();
}
