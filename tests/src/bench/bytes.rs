//! Bytes for an update, release metadata aside.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    fixtures::{self, Pair},
    rivals,
    table::Table,
};
use crate::system::binaries;

/// Measures every pair, ours and the rivals'.
pub fn measure(table: &mut Table) -> Result<()> {
    let work = tempfile::tempdir()?;
    one(table, &fixtures::synthetic(work.path())?)?;
    match fixtures::django_oscar() {
        Ok(pair) => one(table, &pair),
        Err(error) => {
            table.missing("django-oscar 3.2.5 to 3.2.6", &format!("{error:#}"));
            Ok(())
        }
    }
}

fn one(table: &mut Table, pair: &Pair) -> Result<()> {
    let size = ours(pair)?;
    let (with, without) = (number(&size, "delta_bytes")?, number(&size, "without_bytes")?);
    let name = pair.name;
    table.at_most(&format!("{name}: with a delta pack"), with, pair.limits.0, "B");
    table.at_most(&format!("{name}: without a delta"), without, pair.limits.1, "B");
    table.shown(
        &format!("{name}: requests without a delta"),
        number(&size, "requests")?,
        "",
        "their headers not counted",
    );
    table.shown(
        &format!("{name}: the whole release"),
        number(&size, "full_bytes")?,
        "B",
        "manifest and whole pack",
    );
    for rival in &rivals::ALL {
        let what = format!("{name}: {}", rival.how);
        if !rival.is_here() {
            table.missing(&what, "it is not installed");
            continue;
        }
        let work = tempfile::tempdir()?;
        match (rival.measure)(&pair.old, &pair.new, work.path()) {
            Ok(bytes) => {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let bytes = bytes as f64;
                table.rival(&format!("{what}, beside the delta"), bytes, with, "B");
                table.rival(&format!("{what}, beside none"), bytes, without, "B");
            }
            Err(error) => table.missing(&what, &format!("{error:#}")),
        }
    }
    Ok(())
}

/// What the real command line says that an update costs.
fn ours(pair: &Pair) -> Result<Value> {
    let out = Command::new(binaries::program("plugmend")?)
        .args(["--json", "release", "size"])
        .arg(&pair.old)
        .arg(&pair.new)
        .output()?;
    ensure!(
        out.status.success(),
        "plugmend release size: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).context("plugmend --json prints one JSON value")
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value
        .get(name)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {name} in {value}"))
}
