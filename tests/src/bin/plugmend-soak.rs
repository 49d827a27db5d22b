//! plugmend-soak: kills agent and control plane at random moments for `SOAK_MINUTES` (15), half of them with each of two
//! layouts; then has `SOAK_INCIDENTS` (10,000) worked off by two replicas while these and Postgres are killed.
//! `SOAK_SEED` repeats a run's choices; `SOAK_PARTS` names what to do (`swaps crowd`).

use std::{process::ExitCode, str::FromStr, time::Duration};

use anyhow::{Context, Result, bail};
use plugmend_tests::{
    crowd::{self, Plan},
    soak,
};

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
    let seed = match variable("SOAK_SEED")? {
        Some(seed) => seed,
        None => soak::seed()?,
    };
    let parts: String = variable("SOAK_PARTS")?.unwrap_or_else(|| "swaps crowd".to_owned());
    for part in parts.split_whitespace() {
        match part {
            "swaps" => swaps(seed).await?,
            "crowd" => a_crowd(seed).await?,
            other => bail!("SOAK_PARTS: '{other}' is neither swaps nor crowd"),
        }
    }
    Ok(())
}

async fn swaps(seed: u64) -> Result<()> {
    let minutes: u64 = variable("SOAK_MINUTES")?.unwrap_or(15);
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

async fn a_crowd(seed: u64) -> Result<()> {
    let plan = Plan {
        incidents: variable("SOAK_INCIDENTS")?.unwrap_or(10_000),
        seed,
        longest_life: Duration::from_secs(variable("SOAK_LIFE_S")?.unwrap_or(10)),
        fleet_percent: variable("SOAK_FLEET_PERCENT")?.unwrap_or(100),
    };
    println!("crowd: {} incidents at once, SOAK_SEED={seed}", plan.incidents);
    let tally = crowd::run(&plan).await?;
    println!(
        "crowd: {} incidents worked off in {} s through {} deaths of replicas, {} of Postgres and {} cut connections; none \
         lost, doubled or stuck, and {} audit entries proved",
        plan.incidents,
        tally.took.as_secs(),
        tally.replica_deaths,
        tally.postgres_deaths,
        tally.cuts,
        tally.audit_entries
    );
    Ok(())
}

fn variable<T: FromStr>(name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => Ok(Some(text.parse().with_context(|| format!("{name} can not be read"))?)),
        _ => Ok(None),
    }
}
