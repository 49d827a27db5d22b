//! `make bench`: the figures that must hold, measured in one run, each beside what it is compared with.
//!
//! A figure is the median of several tries where tries differ. What could not be measured here is said, not guessed.

mod agent;
mod bytes;
mod detect;
mod fixtures;
mod flood;
mod healing;
mod host;
mod ingest;
mod kill_switch;
mod rivals;
mod store;
mod table;

use anyhow::Result;

pub use self::table::{Figure, Judgement, Table};

/// Measures everything and prints the table; whether all that was measured holds.
pub async fn run(only: &[String]) -> Result<bool> {
    let mut table = Table::default();
    println!("{}\n", host::describe()?);
    let wanted = |part: &str| only.is_empty() || only.iter().any(|o| o == part);
    if wanted("bytes") {
        bytes::measure(&mut table)?;
    }
    if wanted("agent") {
        agent::measure(&mut table).await?;
        flood::measure(&mut table).await?;
    }
    if wanted("detect") {
        detect::measure(&mut table)?;
    }
    if wanted("ingest") {
        ingest::measure(&mut table).await?;
    }
    if wanted("kill-switch") {
        kill_switch::measure(&mut table).await?;
    }
    if wanted("healing") {
        healing::measure(&mut table).await?;
    }
    table.print();
    Ok(table.holds())
}
