//! What can go wrong with the database, sorted by what the caller should do next.

use thiserror::Error;

/// An error of the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database can not be reached, or is starting, stopping or full: try again later.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Another row stands in the way.
    #[error("a row with the same {constraint} exists")]
    Conflict {
        /// Which constraint refused.
        constraint: String,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A row that should have changed was not there, or not in the state it was read in: read again.
    #[error("{what} was changed by someone else in between")]
    Stale {
        /// What was to change.
        what: &'static str,
    },
    /// What is stored can not be read back.
    #[error("a stored {what} can not be read")]
    Corrupt {
        /// What was to be read.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Refused(#[source] sqlx::Error),
    /// A migration failed.
    #[error("the database can not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The schema is older than this binary.
    #[error("the database lacks migrations; run 'plugmend-control-plane migrate'")]
    Outdated,
    /// The URL can not be read.
    #[error("DATABASE_URL is not a postgres:// URL")]
    BadUrl,
}

impl StoreError {
    /// Something stored that can not be read back.
    pub fn corrupt(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Corrupt {
            what,
            source: source.into(),
        }
    }

    /// Whether the database gave this transaction up for another one (class 40 of SQLSTATE: a deadlock, say): the same
    /// at once goes through, as a rule.
    pub fn was_given_up(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| code.starts_with("40")))
    }

    /// Whether a row found no partition to go to.
    pub fn is_missing_partition(&self) -> bool {
        matches!(self, Self::Refused(sqlx::Error::Database(error))
            if error.code().as_deref() == Some("23514") && error.constraint().is_none())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                if code == "23505" {
                    let constraint = database.constraint().unwrap_or("key").to_owned();
                    return Self::Conflict {
                        constraint,
                        source: error,
                    };
                }
                // Classes of SQLSTATE: connection (08), resources (53), operator's hand (57), rollback for a retry (40); and
                // a lock that did not come in time.
                if ["08", "53", "57", "40", "55P03"]
                    .iter()
                    .any(|class| code.starts_with(class))
                {
                    return Self::Unavailable(error);
                }
                Self::Refused(error)
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::corrupt("column", error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}
