//! The only place with SQL: one file for each aggregate.

pub mod agent;
pub mod approval;
pub mod attempt;
pub mod audit;
pub mod audit_chain;
pub mod certificate;
pub mod command;
pub mod decision;
pub mod delivery;
pub mod detector;
pub mod enrolment_token;
mod error;
pub mod facts;
pub mod feedback;
pub mod figures;
pub mod fleet;
pub mod healing_feed;
pub mod heartbeat;
pub mod idempotency;
pub mod incident;
pub mod judgement;
pub mod lease;
pub mod lesson;
pub mod lists;
pub mod merchant;
pub mod model;
pub mod ops_event;
pub mod outbox;
pub mod plugin;
pub mod policy;
pub mod quarantine;
pub mod release;
pub mod retention;
pub mod standing_feed;
pub mod telemetry;
pub mod timeline;
pub mod wakeup;
pub mod webhook;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    PgPool, Postgres,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

pub use error::StoreError;
/// How a `timestamptz` goes in and out of a query.
pub(crate) use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};

/// A transaction. Dropped without a commit, it is rolled back.
pub type Tx = sqlx::Transaction<'static, Postgres>;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// No statement of ours may run longer; a stuck one must not hold a connection for ever.
const STATEMENT_TIMEOUT_MS: &str = "30000";
/// The most connections for what people look at.
const READING: u32 = 8;
/// What people look at must not take longer.
const READING_TIMEOUT_MS: &str = "10000";

/// The database.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    /// One connection, direct, for what listens all its life.
    listen_pool: PgPool,
    /// A few connections for what people look at, so that lists and heartbeats do not wait for each other.
    reading_pool: PgPool,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// `postgres://...`
    pub url: SecretString,
    /// The most connections to open.
    pub max_connections: u32,
}

impl Db {
    /// Prepares a pool; no connection is opened yet, so a database that is down does not stop a start.
    ///
    /// # Errors
    /// When the URL can not be read.
    pub fn open(options: &DbOptions) -> Result<Self, StoreError> {
        let connect: PgConnectOptions = options.url.expose_secret().parse().map_err(|_| StoreError::BadUrl)?;
        let connect = connect
            .application_name("plugmend-control-plane")
            .options([("statement_timeout", STATEMENT_TIMEOUT_MS), ("TimeZone", "UTC")]);
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(connect.clone());
        let listen_pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(connect.clone());
        // One statement serves every combination of filters. Planned for the values at hand, each has the index that fits;
        // a plan for all of them would read whole tables.
        let reading = connect.options([
            ("plan_cache_mode", "force_custom_plan"),
            ("statement_timeout", READING_TIMEOUT_MS),
        ]);
        let reading_pool = PgPoolOptions::new()
            .max_connections(READING.min(options.max_connections))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(reading);
        Ok(Self {
            pool,
            listen_pool,
            reading_pool,
        })
    }

    /// The pool, for queries that need no transaction.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The pool of the one listener.
    pub(crate) fn listen_pool(&self) -> &PgPool {
        &self.listen_pool
    }

    /// An ear for what is told on a channel. It holds a connection of its own for good, outside of the pool.
    ///
    /// # Errors
    /// When the database can not be reached.
    pub(crate) async fn listener(&self, channel: &str) -> Result<PgListener, StoreError> {
        let options = self.pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }

    /// The pool of what people look at.
    pub(crate) fn reading_pool(&self) -> &PgPool {
        &self.reading_pool
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Brings the schema up to date. Several processes may do so at once: one works, the others wait for it (an
    /// advisory lock) and find nothing left to do.
    ///
    /// # Errors
    /// When the database is not reachable, or a migration fails; a failed migration leaves nothing behind.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // A migration of a filled database, or the wait for another process that runs one, may take its time.
        let patient = self
            .pool
            .connect_options()
            .as_ref()
            .clone()
            .options([("statement_timeout", "0")]);
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(patient)
            .await?;
        let outcome = MIGRATIONS.run(&pool).await;
        pool.close().await;
        outcome.map_err(StoreError::Migrate)
    }

    /// Whether the database answers and its schema is at least this binary's.
    ///
    /// # Errors
    /// When it does not answer or lacks a migration.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&self.pool)
            .await?;
        let wanted = MIGRATIONS.iter().map(|migration| migration.version).max();
        if newest < wanted {
            return Err(StoreError::Outdated);
        }
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.listen_pool.close().await;
        self.reading_pool.close().await;
        self.pool.close().await;
    }
}
