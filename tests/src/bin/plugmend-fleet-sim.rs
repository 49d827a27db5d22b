//! plugmend-fleet-sim FOLDER [SEED [PLUGINS [DAYS]]]: writes a simulated fleet's `heartbeats.jsonl`, for `plugmend detect
//! replay`, and the truth behind it as `illnesses.jsonl` and `releases.jsonl`.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use plugmend_tests::fleet_sim::world::{Beat, Plan, World};
use serde::Serialize;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder: PathBuf = arguments.next().context("name a folder to write to")?.into();
    let mut number = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let plan = Plan {
        seed: number("1").parse().context("SEED is a number")?,
        plugins: number("300").parse().context("PLUGINS is a number")?,
        days: number("10").parse().context("DAYS is a number")?,
    };
    fs::create_dir_all(&folder)?;
    let mut world = World::new(plan);
    let mut beats = BufWriter::new(File::create(folder.join("heartbeats.jsonl"))?);
    while let Some(beat) = world.advance() {
        writeln!(beats, "{}", told(&beat))?;
    }
    beats.flush()?;
    write(&folder.join("illnesses.jsonl"), &world.illnesses)?;
    write(&folder.join("releases.jsonl"), &world.releases)
}

fn write(path: &Path, lines: &[impl Serialize]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(file, "{}", serde_json::to_string(line)?)?;
    }
    Ok(file.flush()?)
}

/// The heartbeat as a line; what it does not say is left out.
fn told(beat: &Beat) -> Value {
    let mut line = json!({
        "timestamp": beat.at, "merchant_id": format!("m{}", beat.plugin), "plugin_id": beat.plugin.to_string(),
        "plugin_version": beat.version, "env": { "platform": beat.platform }, "uptime": beat.uptime,
        "window_s": beat.window_s, "requests": beat.requests, "errors": beat.errors,
        "webhook_total": beat.webhook_total, "webhook_failed": beat.webhook_failed, "latency_ms": beat.latency_ms,
        "errors_last_24h": beat.errors_last_24h, "webhook_fail_rate": beat.webhook_fail_rate,
    });
    if let Some(fields) = line.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    line
}
