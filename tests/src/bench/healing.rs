//! The worked example on real programs: from the first failing webhook to a proven cure, with nobody awake. An agent counts
//! errors and webhooks of which three of five fail, a staging runner tries the release, and the release cures.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use plugmend_shared::clock::{Clock as _, SystemClock};

use super::table::{Table, share};
use crate::{
    shop::shelf,
    system::{Healing, Pace, Plan},
};

const RUNS: usize = 5;
/// Fast enough for several runs.
const FAST: Pace = Pace {
    heartbeat_s: 5,
    watch_s: 4,
    interval_s: 1,
};
/// What was promised of the early report, in seconds after the first failing window.
const FOUND_WITHIN_S: f64 = 10.0;
/// What was promised of the whole, in heartbeats beside the watch.
const HEARTBEATS: f64 = 4.0;

/// When an illness was found and healed, in seconds after its first failing window began.
struct Run {
    found: f64,
    healed: f64,
}

/// Several runs at a fast pace, and one as it comes.
pub async fn measure(table: &mut Table) -> Result<()> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(run(FAST).await?);
    }
    judge(table, "a heartbeat every 5 s, watched for 4 s", FAST, &runs);
    let slow = [run(Pace::AS_IT_COMES).await?];
    judge(table, "as it comes: 120 s, watched for 90 s", Pace::AS_IT_COMES, &slow);
    Ok(())
}

fn judge(table: &mut Table, pace: &str, limits: Pace, runs: &[Run]) {
    let found: Vec<f64> = runs.iter().map(|run| run.found).collect();
    let healed: Vec<f64> = runs.iter().map(|run| run.healed).collect();
    let promised = HEARTBEATS * f64::from(limits.heartbeat_s) + f64::from(limits.watch_s);
    let spread = |all: &[f64]| format!("of {}: {:.1} to {:.1} s", all.len(), share(all, 0), share(all, 100));
    let what = format!("{pace}: first failing window to incident");
    table.shown(&format!("{what}, median"), share(&found, 50), "s", &spread(&found));
    table.at_most(&format!("{what}, worst"), share(&found, 100), FOUND_WITHIN_S, "s");
    let what = format!("{pace}: to the proven cure");
    table.shown(&format!("{what}, median"), share(&healed, 50), "s", &spread(&healed));
    table.at_most(&format!("{what}, worst"), share(&healed, 100), promised, "s");
}

async fn run(pace: Pace) -> Result<Run> {
    let plan = Plan {
        pace,
        ..Plan::default()
    };
    let healing = Healing::start(plan).await?;
    healing.offer("1.1.0", shelf::write)?;
    // The agent's first failing window is open by now, or opens within the second.
    let began = SystemClock.now();
    healing.chatter.busy(true);
    let attempt = healing.until_attempt("1.1.0", "success").await?;
    let cured = |incident: &serde_json::Value| matches!(incident["status"].as_str(), Some("mitigated" | "closed"));
    let incident = healing.until_incident("webhook_fail_rate", "cured", cured).await?;
    ensure!(
        attempt["method"] == "patch"
            && attempt["executed_by"] == "sira"
            && attempt["staging_result"]["passed"] == true
            && attempt["production_result"]["health_check_passed"] == true
            && incident["escalated_to_ops"] == false,
        "it went otherwise than in the worked example: {incident:#} {attempt:#}"
    );
    for receiver in [&healing.merchant, &healing.ops] {
        healing.until_told(receiver, "plugin.autopatch_success").await?;
    }
    let lesson = "SELECT feedback_label FROM sira_learning_feedback";
    healing
        .until("a lesson", async || {
            Ok(healing
                .texts(lesson)
                .await?
                .into_iter()
                .next()
                .filter(|one| one == "positive"))
        })
        .await?;
    let found: Timestamp = incident["detected_at"].as_str().context("a time")?.parse()?;
    let healed = "SELECT to_char(max(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
        FROM plugin_audit WHERE action = 'incident_mitigated'";
    let healed: Timestamp = healing.texts(healed).await?.first().context("an entry")?.parse()?;
    Ok(Run {
        found: found.duration_since(began).as_secs_f64(),
        healed: healed.duration_since(began).as_secs_f64(),
    })
}
