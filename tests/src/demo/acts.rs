//! The acts: adoption, update, setting, roll-back, and a broken release.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};

use super::{
    ACT_LIMIT,
    say::{self, Say, bytes},
    stage::{self, BROKEN, PRODUCT, Stage},
};
use crate::{
    shop::payments::{FIRST, SECOND},
    system::{Ended, Ops},
    wait,
};

/// One act, over.
#[derive(Debug)]
pub struct Act {
    /// What was ordered.
    pub title: String,
    /// From the order to its end, as the control plane knows it.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
}

/// Plays all acts.
pub async fn play(say: &Say, stage: &mut Stage) -> Result<Vec<Act>> {
    warm_up(stage).await?;
    let mut acts = Vec::new();

    say::title(&format!(
        "0. Put {} as it lies there under its signed release",
        FIRST.version
    ));
    let order = stage::order(
        "update",
        json!({"product": PRODUCT, "version": FIRST.version, "reason": "demo"}),
    );
    acts.push(give(say, stage, "adoption", &order, "completed").await?);

    say::title(&format!("1. Update {} to {}", FIRST.version, SECOND.version));
    let order = stage::order(
        "update",
        json!({"product": PRODUCT, "version": SECOND.version, "reason": "demo"}),
    );
    acts.push(give(say, stage, "update", &order, "completed").await?);
    installed(stage, SECOND.version)?;

    say::title("2. Change a setting: capture payments at once");
    let order = stage::order("config_update", json!({"config": {"capture": true}, "reason": "demo"}));
    acts.push(give(say, stage, "setting", &order, "completed").await?);
    let method = checkout(stage).await?;
    ensure!(method == "automatic", "the shop captures payments the {method} way");
    say.line("the shop now captures payments automatically");

    say::title(&format!("3. Roll back to {}", FIRST.version));
    let order = stage::order(
        "rollback",
        json!({"product": PRODUCT, "version": FIRST.version, "reason": "demo"}),
    );
    acts.push(give(say, stage, "roll-back", &order, "completed").await?);
    installed(stage, FIRST.version)?;
    let method = checkout(stage).await?;
    ensure!(
        method == "automatic",
        "the roll-back lost a setting: payments are captured the {method} way"
    );
    say.line("the setting outlived the roll-back");

    say::title(&format!("4. Update to {BROKEN}, which was broken on purpose"));
    stage::publish_broken(stage)?;
    say.line("built, signed by 2 of 3 and published: its main module is cut off in the middle");
    let order = stage::order(
        "update",
        json!({"product": PRODUCT, "version": BROKEN, "reason": "demo", "max_retries": 0}),
    );
    acts.push(give(say, stage, "broken update", &order, "failed").await?);
    installed(stage, FIRST.version)?;
    say.line(&format!(
        "the agent took it back by itself: {} is installed",
        FIRST.version
    ));
    told(say, stage).await?;
    Ok(acts)
}

/// Waits until customers are served and the control plane has heard of the plugin.
async fn warm_up(stage: &Stage) -> Result<()> {
    wait::until_async("customers and a first heartbeat", ACT_LIMIT, async || {
        let sent = stage.load.as_ref().map_or(0, crate::load::Load::sent);
        let plugin = plugin(stage).await?;
        let heard = plugin.get("last_heartbeat").is_some_and(|at| !at.is_null());
        Ok((sent > 200 && heard).then_some(()))
    })
    .await
}

/// Gives an order and follows it to its end.
pub async fn give(say: &Say, stage: &Stage, title: &str, order: &Value, wanted: &str) -> Result<Act> {
    let ops = stage.control_plane.ops();
    let begun = Instant::now();
    let id = ops.order(stage.agent.plugin_id(), order).await?;
    let raw = follow(say, &ops, &id).await?;
    let took = begun.elapsed();
    let ended = Ended::read(raw)?;
    ensure!(
        ended.status == wanted,
        "the order ended as {}: {}",
        ended.status,
        ended.raw
    );
    if let Some(outcome) = &ended.outcome {
        say.line(&format!("{}: {}", ended.status, outcome.explanation));
        let steps: Vec<String> = ended
            .timings()
            .iter()
            .map(|(step, ms)| format!("{step} {ms} ms"))
            .collect();
        say::more(&format!(
            "fetched {}; {}",
            bytes(outcome.bytes_fetched),
            steps.join(", ")
        ));
    }
    Ok(Act {
        title: title.to_owned(),
        took,
        ended,
    })
}

/// Says each new state of an order until it ends.
async fn follow(say: &Say, ops: &Ops, id: &str) -> Result<Value> {
    let mut said = String::new();
    let path = format!("/api/ops/commands/{id}");
    wait::until_async("the order to end", ACT_LIMIT, async || {
        let (_, command) = ops.ask(Method::GET, &path, None).await?;
        let status = command.get("status").and_then(Value::as_str).unwrap_or_default();
        let step = command
            .pointer("/progress/step")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let now = format!("{status} {step}");
        if now != said {
            say.line(now.trim_end());
            said = now;
        }
        Ok(matches!(status, "completed" | "failed" | "timeout").then_some(command))
    })
    .await
}

fn installed(stage: &Stage, version: &str) -> Result<()> {
    let found = stage
        .watcher
        .version()
        .context("no version can be read at the plugin's path")?;
    ensure!(found == version, "{found} is installed, not {version}");
    Ok(())
}

/// How the shop captures payments, as a customer sees it.
async fn checkout(stage: &Stage) -> Result<String> {
    let (_, answer) = Ops::new(stage.shop.at(), String::new())
        .ask(Method::GET, "/checkout", None)
        .await?;
    crate::system::ops::text(&answer, "capture_method")
}

async fn plugin(stage: &Stage) -> Result<Value> {
    let path = format!("/api/ops/plugins/{}", stage.agent.plugin_id());
    stage.control_plane.ops().get(&path).await
}

/// Waits until the control plane shows the version that really runs.
async fn told(say: &Say, stage: &Stage) -> Result<()> {
    wait::until_async("the control plane to know", ACT_LIMIT, async || {
        let version = plugin(stage).await?;
        let version = version
            .get("plugin_version")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok((version == FIRST.version).then_some(()))
    })
    .await?;
    say.line("the control plane knows: its heartbeat says so");
    Ok(())
}
