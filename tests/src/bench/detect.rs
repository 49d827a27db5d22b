//! Detection on simulated fleets that it was not tuned on, and the speed of `plugmend detect series`.

use std::{
    fmt::Write as _,
    fs::File,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use plugmend_shared::detect::Settings;

use super::table::{Table, share};
use crate::{
    fleet_sim::{
        score::{self, BARS, Score},
        world::Plan,
    },
    system::binaries,
};

/// Fleets that nothing was tuned on; the first six seeds were for that.
const SEEDS: std::ops::RangeInclusive<u64> = 11..=16;
const PLUGINS: usize = 300;
const DAYS: i64 = 10;
const ROWS: u32 = 2_000_000;

/// Measures all of it.
pub fn measure(table: &mut Table) -> Result<()> {
    let mut whole = Score::default();
    let began = Instant::now();
    for seed in SEEDS {
        let plan = Plan {
            seed,
            plugins: PLUGINS,
            days: DAYS,
        };
        let score = score::run(plan, &Settings::default());
        table.shown(
            &format!("fleet {seed}: detectable incidents found"),
            score.found() * 100.0,
            "%",
            &format!(
                "{:.2} false alarms a plugin-month, precision {:.1} %",
                score.false_alarm_rate(),
                score.precision() * 100.0
            ),
        );
        whole.join(score);
    }
    tell(table, &whole);
    table.shown(
        "six fleets simulated and judged in",
        began.elapsed().as_secs_f64(),
        "s",
        "",
    );
    series(table)
}

fn tell(table: &mut Table, score: &Score) {
    table.at_most("detectable incidents missed", (1.0 - score.found()) * 100.0, 3.0, "%");
    table.at_most("false alarms a plugin and month", score.false_alarm_rate(), 0.3, "");
    for (bar, [all, found]) in BARS.into_iter().zip(score.by_bar) {
        let what = format!("found, were {bar:.0} nats of an oracle's evidence enough");
        table.shown(
            &what,
            count(found) / count(all).max(1.0) * 100.0,
            "%",
            &format!("of {all}"),
        );
    }
    table.shown("precision", score.precision() * 100.0, "%", "real among all detections");
    let [bad, found] = score.bad_releases.map(count);
    table.at_most("bad releases not found", bad - found, 0.0, &format!("of {bad}"));
    table.at_most("good releases blamed", count(score.blamed.len()), 0.0, "");
    for (kind, [ours, oracle]) in &score.beats {
        let beside = format!("an oracle that knows the true rates: {:.0}", share(oracle, 50));
        table.shown(
            &format!("heartbeats to find a {kind:?}"),
            share(ours, 50),
            "median",
            &beside,
        );
    }
    let brier = score
        .confidences
        .iter()
        .map(|(said, real)| (said - count(usize::from(*real))).powi(2))
        .sum::<f64>();
    let judged = count(score.confidences.len()).max(1.0);
    table.shown("Brier score of \"it is real\"", brier / judged, "", "0 is best");
}

/// Rows a second through the real program.
fn series(table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("series.csv");
    let mut text = String::from("timestamp,value\n");
    for i in 0..ROWS {
        let (day, minute) = (i / 288 % 28 + 1, i % 288 * 5);
        let value = f64::from(i % 288) + f64::from(i.wrapping_mul(2_654_435_761) >> 24) / 16.0;
        writeln!(
            text,
            "2026-02-{day:02} {:02}:{:02}:00,{value:.3}",
            minute / 60,
            minute % 60
        )?;
    }
    std::fs::write(&path, text)?;
    let began = Instant::now();
    let status = Command::new(binaries::program("plugmend")?)
        .args(["detect", "series"])
        .stdin(File::open(&path)?)
        .stdout(Stdio::from(File::create(folder.path().join("out.csv"))?))
        .status()
        .context("run plugmend detect series")?;
    ensure!(status.success(), "plugmend detect series ended with {status}");
    let micros = began.elapsed().as_secs_f64() / f64::from(ROWS) * 1e6;
    table.at_most("detect series, a row", micros, 1.0, "µs");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn count(value: usize) -> f64 {
    value as f64
}
