//! Many incidents at once, worked off by two replicas of the real control plane while replicas, their connections and
//! Postgres itself are killed at random: none is lost, doubled or stuck.
//!
//! The plugins have no agents: they speak to port 8112 with their secrets, take their order, carry it out, say so, and
//! are heard with the new version. SIRA and the staging runner are one small server that always says yes.

mod fleet;
mod reckoning;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sqlx::{PgPool, postgres::PgPoolOptions};

use self::fleet::Fleet;
use crate::{
    dice::Dice,
    helpers::Helpers,
    postgres::{Durability, Postgres},
    system::{ControlPlane, Options},
};

/// So long nothing may get better, with everybody alive half of the time: a lease of a minute, and what waits behind it.
const PATIENCE: Duration = Duration::from_mins(5);
/// People are told every so many incidents.
const SAID_EVERY: i64 = 500;
/// How often the incidents that are left are counted.
const LOOK: Duration = Duration::from_millis(250);
/// Of so many fates one is Postgres' own.
const FATES: u64 = 8;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many incidents are opened.
    pub incidents: u32,
    /// Chooses who dies when.
    pub seed: u64,
    /// How long everybody lives between two deaths, at most.
    pub longest_life: Duration,
    /// How much of the fleet may be changing at once, in percent.
    pub fleet_percent: u8,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Tally {
    /// From the first order to the last incident's end.
    pub took: Duration,
    /// Replicas that were killed.
    pub replica_deaths: u32,
    /// Connections to Postgres that were cut.
    pub cuts: u32,
    /// How often Postgres was killed.
    pub postgres_deaths: u32,
    /// Audit entries that were proved.
    pub audit_entries: u64,
}

/// Opens the incidents and sees them through; fails when one is lost, doubled or stuck, or the audit trail is not whole.
pub async fn run(plan: &Plan) -> Result<Tally> {
    let mut postgres = Postgres::temporary(Durability::Real)?;
    let url = postgres.database("plugmend_crowd").await?;
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy(&url)?;
    let home = tempfile::Builder::new().prefix("plugmend-crowd-").tempdir()?;
    let helpers = Helpers::start().await?;
    let mut environment = helpers.environment().to_vec();
    environment.push(("PLUGMEND_API_PER_SECOND", "10000".to_owned()));
    environment.push(("LOG_LEVEL", "warn".to_owned()));
    let options = Options { heartbeat_s: 60 };
    let first = ControlPlane::start_with(home.path(), &url, options, &environment)?;
    let second = first.beside()?;
    let mut replicas = [first, second];
    let fleet = Fleet::open(&pool, &replicas, plan).await?;
    let mut tally = Tally::default();
    let begun = Instant::now();
    see_through(plan, &pool, &mut postgres, &mut replicas, &mut tally).await?;
    tally.took = begun.elapsed();
    let carried_out = fleet.end().await?;
    tally.audit_entries = reckoning::reckon(plan, &pool, &replicas, &carried_out).await?;
    Ok(tally)
}

async fn see_through(
    plan: &Plan,
    pool: &PgPool,
    postgres: &mut Postgres,
    replicas: &mut [ControlPlane; 2],
    tally: &mut Tally,
) -> Result<()> {
    let begun = Instant::now();
    let mut dice = Dice::new(plan.seed);
    let longest = u64::try_from(plan.longest_life.as_millis())?.max(1);
    let (mut left, mut better) = (i64::from(plan.incidents), Instant::now());
    let mut fate_at = Instant::now() + Duration::from_millis(dice.roll(longest));
    loop {
        tokio::time::sleep(LOOK).await;
        let open = "SELECT count(*) FROM plugin_incidents WHERE status NOT IN ('mitigated', 'closed')";
        // Our own connection may be the one that was cut.
        if let Ok(now) = sqlx::query_scalar::<_, i64>(open).fetch_one(pool).await {
            if now < left {
                better = Instant::now();
            }
            if now / SAID_EVERY < left / SAID_EVERY {
                let (s, deaths) = (begun.elapsed().as_secs(), tally.replica_deaths + tally.postgres_deaths);
                println!("crowd: {now} left after {s} s and {deaths} deaths");
            }
            left = now;
        }
        if left == 0 {
            return Ok(());
        }
        if better.elapsed() > PATIENCE {
            bail!("{left} incidents are stuck: {}", reckoning::stuck(pool).await?);
        }
        if Instant::now() < fate_at {
            continue;
        }
        fate_at = Instant::now() + Duration::from_millis(dice.roll(longest));
        match dice.roll(FATES) {
            0 => {
                if let Some(server) = postgres.server() {
                    server.stop()?;
                    server.launch()?;
                    tally.postgres_deaths += 1;
                }
            }
            1..4 => {
                let which = &mut replicas[usize::from(dice.roll(2) == 1)];
                which.kill()?;
                which.launch()?;
                tally.replica_deaths += 1;
            }
            4..6 => tally.cuts += cut(pool).await.unwrap_or(0),
            _ => {}
        }
    }
}

/// Cuts some connections; how many.
async fn cut(pool: &PgPool) -> Result<u32> {
    let some = "SELECT count(pg_terminate_backend(pid)) FROM (
                  SELECT pid FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
                  ORDER BY random() LIMIT 3) AS unlucky";
    Ok(u32::try_from(
        sqlx::query_scalar::<_, i64>(some).fetch_one(pool).await?,
    )?)
}
