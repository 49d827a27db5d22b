//! Hints that the healing loop has something to do. A hint carries nothing: whoever hears it looks for itself.

use sqlx::postgres::PgListener;

use super::{Db, StoreError};

const CHANNEL: &str = "plugmend_healing";

/// An ear on the database.
#[derive(Debug)]
pub struct HealingFeed(PgListener);

impl HealingFeed {
    /// Opens a connection of its own and listens.
    ///
    /// # Errors
    /// When the database can not be reached.
    pub async fn open(db: &Db) -> Result<Self, StoreError> {
        Ok(Self(db.listener(CHANNEL).await?))
    }

    /// Waits for the next hint; a lost connection, which is made anew, counts as one.
    ///
    /// # Errors
    /// When the database can not be reached again.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        let _hint_or_lost = self.0.try_recv().await?;
        Ok(())
    }
}
