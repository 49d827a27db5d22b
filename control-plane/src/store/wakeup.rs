//! Hints between replicas that orders wait, by Postgres notifications. A hint carries no order: whoever hears it looks
//! for itself, so a lost or a doubled one does no harm.

use plugmend_shared::ids::PluginId;
use sqlx::postgres::PgListener;

use super::{Db, StoreError};

const CHANNEL: &str = "plugmend_commands";

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// These plugins have something waiting.
    Plugins(Vec<PluginId>),
    /// Anybody may: too many to name, or hints were lost with the connection.
    Anybody,
}

/// An ear on the database.
#[derive(Debug)]
pub struct Ear(PgListener);

impl Ear {
    /// Opens a connection of its own and listens.
    ///
    /// # Errors
    /// When the database can not be reached.
    pub async fn open(db: &Db) -> Result<Self, StoreError> {
        let mut listener = PgListener::connect_with(db.listen_pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// The next hint. After a lost connection it listens anew and says [`Hint::Anybody`].
    ///
    /// # Errors
    /// When the database can not be reached again.
    pub async fn next(&mut self) -> Result<Hint, StoreError> {
        Ok(match self.0.try_recv().await? {
            Some(notification) => read(notification.payload()),
            None => Hint::Anybody,
        })
    }
}

fn read(payload: &str) -> Hint {
    payload
        .split(',')
        .map(|id| id.parse().ok())
        .collect::<Option<Vec<PluginId>>>()
        .map_or(Hint::Anybody, Hint::Plugins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_concerns_anybody() {
        let id = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(read(id), Hint::Plugins(vec![id.parse().unwrap()]));
        for odd in ["*", "", "0198c0de,", &format!("{id},x")] {
            assert_eq!(read(odd), Hint::Anybody, "{odd}");
        }
    }
}
