//! How fast everything goes: heartbeats, and what `ops_policy` says of the watch over a change. Tests and the demo need not
//! wait for minutes.

use anyhow::{Context, Result};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// Heartbeats, and how a change is watched.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds between two heartbeats.
    pub heartbeat_s: u32,
    /// How long a change is watched, in seconds.
    pub watch_s: u32,
    /// Seconds between two looks.
    pub interval_s: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            heartbeat_s: 2,
            watch_s: 2,
            interval_s: 1,
        }
    }
}

impl Pace {
    /// As it comes: a heartbeat every two minutes, a change watched for a minute and a half.
    pub const AS_IT_COMES: Self = Self {
        heartbeat_s: 120,
        watch_s: 90,
        interval_s: 3,
    };

    /// Writes what the policy says of it, as ops would by SQL.
    pub async fn set(self, database_url: &str) -> Result<()> {
        let mut connection = PgConnection::connect(database_url).await?;
        let update = sqlx::query(
            "UPDATE ops_policy SET health_check_timeout_seconds = $1, health_check_interval_seconds = $2, \
             auto_rollback_on_heartbeat_missed_seconds = $1 WHERE id = 1",
        )
        .bind(i64::from(self.watch_s))
        .bind(i64::from(self.interval_s));
        connection.execute(update).await.context("set the policy")?;
        Ok(connection.close().await?)
    }
}
