//! The runbook's kill switch before two replicas of the real control plane and agents' connections to both.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use plugmend_agent::upstream::client::ClientError;
use plugmend_shared::protocol::command::{Command, Fail};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::{
    helpers::{self, Helpers},
    members::{self, Member},
    postgres::{Durability, Postgres},
    system::{ControlPlane, Options},
    wait,
};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(2);
/// How long a poll waits, in seconds.
const POLL_S: u64 = 5;

/// Everything. Fields are dropped in this order.
pub struct Stage {
    /// Agents, as far as the control plane can tell: the first half speaks to one replica, the rest to the other.
    pub members: Vec<Arc<Member>>,
    /// The control plane.
    pub replicas: [ControlPlane; 2],
    database_url: String,
    _helpers: Helpers,
    _postgres: Postgres,
    _home: tempfile::TempDir,
}

impl Stage {
    /// With so many agents at each replica.
    pub async fn start(at_each: usize) -> Result<Self> {
        let postgres = Postgres::obtain(Durability::Real)?;
        let database_url = postgres.database("plugmend_switch").await?;
        let home = tempfile::Builder::new().prefix("plugmend-switch-").tempdir()?;
        let helpers = Helpers::start().await?;
        let environment = helpers.environment();
        let first = ControlPlane::start_with(home.path(), &database_url, Options::default(), &environment)?;
        let second = first.beside()?;
        let replicas = [first, second];
        let mut members = Vec::new();
        for (number, replica) in replicas.iter().enumerate() {
            let folder = home.path().join(format!("agents-{number}"));
            members.extend(enrol(replica, &folder, at_each).await?);
        }
        let mut database = PgConnection::connect(&database_url).await?;
        helpers::offer(&mut database, PRODUCT).await?;
        sqlx::query("UPDATE ops_policy SET autopatch_max_fleet_percent = 100")
            .execute(&mut database)
            .await?;
        Ok(Self {
            members,
            replicas,
            database_url,
            _helpers: helpers,
            _postgres: postgres,
            _home: home,
        })
    }

    /// A connection of a person with `psql`.
    pub async fn person(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.database_url).await?)
    }

    /// Opens an incident of each of these agents' plugins.
    pub async fn fall_ill(&self, whose: &[usize]) -> Result<()> {
        sqlx::query(
            "INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, telemetry_snapshot)
             SELECT id, 'webhook_fail_rate', 'medium', '{}' FROM unnest($1::uuid[]) AS known (id)",
        )
        .bind(self.plugins(whose))
        .execute(&mut self.person().await?)
        .await?;
        Ok(())
    }

    /// The ids of these agents' plugins.
    pub fn plugins(&self, whose: &[usize]) -> Vec<Uuid> {
        whose.iter().map(|who| self.members[*who].client.names().1.0).collect()
    }

    /// Counts rows of these agents' plugins.
    pub async fn count(&self, table: &str, condition: &str, whose: &[usize]) -> Result<i64> {
        let sql = format!("SELECT count(*) FROM {table} WHERE merchant_plugin_id = ANY ($1) AND {condition}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(self.plugins(whose));
        Ok(count.fetch_one(&mut self.person().await?).await?)
    }

    /// Waits until there are `wanted` of them.
    pub async fn until(&self, table: &str, condition: &str, whose: &[usize], wanted: i64) -> Result<()> {
        let what = format!("{wanted} of {table} where {condition}");
        let look = async || {
            let found = self.count(table, condition, whose).await?;
            Ok((found == wanted).then_some(()))
        };
        wait::until_async(&what, LIMIT, look).await
    }

    /// The order that an agent gets by long poll.
    pub async fn order(&self, who: usize) -> Result<Command> {
        let poll = async || {
            let polled = self.members[who].client.poll_commands(POLL_S).await?;
            Ok(polled.commands.into_iter().next())
        };
        wait::until_async("an order", LIMIT, poll).await
    }

    /// Has an agent say that it did not begin, because it was told not to.
    pub async fn did_not_begin(&self, who: usize, order: &Command) -> Result<(), ClientError> {
        let fail = Fail {
            error: "withdrawn: asked, and told no".to_owned(),
            retryable: Some(false),
            result: None,
            generation: None,
        };
        self.members[who].client.fail(order.id, &fail).await
    }
}

/// The runbook's statement.
pub async fn switch(person: &mut PgConnection, enabled: bool) -> Result<()> {
    let sql = if enabled {
        "UPDATE ops_policy SET autopatch_enabled = true WHERE id = 1"
    } else {
        "UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1"
    };
    sqlx::query(sql).execute(person).await.context("the runbook's SQL")?;
    Ok(())
}

const PRODUCT: &str = "switched";

async fn enrol(replica: &ControlPlane, folder: &Path, count: usize) -> Result<Vec<Arc<Member>>> {
    members::enrol(replica, PRODUCT, folder, count).await
}
