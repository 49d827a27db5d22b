//! What the agent's store grows to, by thousands of heartbeats in a minute: an agent of weeks, without the waiting.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use plugmend_agent::{platform::memory, store::Kept};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    telemetry::{Rolling, Window},
};

use super::{agent::own_bytes, table::Table};

/// Where the agent itself was measured.
const EARLY: u64 = 300;
/// From here on nothing may grow.
const LATE: u64 = 4_000;
const END: u64 = 8_000;

/// Measures the store alone, in this process. Gives by how much it grows after what the agent itself is measured for,
/// in bytes.
pub fn measure(table: &mut Table) -> Result<f64> {
    memory::be_frugal();
    let folder = tempfile::tempdir()?;
    let kept = Kept::open(&folder.path().join("kept"))?.kept;
    let mut rolling = Rolling::default();
    let begun = SystemClock.now();
    let (mut early, mut late) = (0.0, 0.0);
    for seq in 1..=END {
        heartbeat(&kept, &mut rolling, seq, begun)?;
        if [EARLY, LATE].contains(&seq) {
            late = own()?;
            early = if seq == EARLY { late } else { early };
        }
    }
    let end = own()?;
    let what = format!("agent's store: growth from heartbeat {LATE} to {END}");
    table.at_most(&what, (end - late).max(0.0), 128.0 * 1024.0, "B");
    Ok((end - early).max(0.0))
}

/// What a heartbeat does to the store, a second after the one before.
fn heartbeat(kept: &Kept, rolling: &mut Rolling, seq: u64, begun: Timestamp) -> Result<()> {
    let to = begun.checked_add(SignedDuration::from_secs(i64::try_from(seq)?))?;
    let from = to.checked_sub(SignedDuration::from_secs(1))?;
    let window = Window::empty(seq, from, to);
    kept.spool(&window, to)?;
    kept.remember(rolling, &window, to)?;
    kept.flush()?;
    kept.oldest(32, 100_000)?.first().context("a window is spooled")?;
    kept.confirmed(seq)?;
    Ok(())
}

fn own() -> Result<f64> {
    memory::give_back();
    own_bytes(std::process::id())
}
