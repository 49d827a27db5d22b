//! plugmend-soak: kills agent and control plane at random moments for `SOAK_MINUTES` (15), half of them with each of two
//! layouts. `SOAK_SEED` repeats a run's choices.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use plugmend_tests::soak;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let minutes: u64 = variable("SOAK_MINUTES")?.unwrap_or(15);
    let seed = match variable("SOAK_SEED")? {
        Some(seed) => seed,
        None => soak::seed()?,
    };
    for layout in ["exchange", "symlink"] {
        println!("{layout}: {} s, SOAK_SEED={seed}", minutes * 30);
        let tally = soak::run(layout, Duration::from_secs(minutes * 30), seed).await?;
        println!(
            "{layout}: {} orders ended ({} carried out) through {} deaths of the agent and {} of the control plane; the \
             plugin was wholly one version each time",
            tally.orders, tally.completed, tally.agent_deaths, tally.control_plane_deaths
        );
    }
    Ok(())
}

fn variable(name: &str) -> Result<Option<u64>> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => Ok(Some(text.parse().with_context(|| format!("{name} is a whole number"))?)),
        _ => Ok(None),
    }
}
