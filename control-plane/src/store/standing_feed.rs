//! News of standings that changed on any replica, or by hand.

use plugmend_shared::ids::PluginId;
use sqlx::postgres::PgListener;

use super::{Db, SqlTimestamp, StoreError};

const CHANNEL: &str = "plugmend_standing";

/// Whose standing may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingNews {
    /// These plugins' agents.
    Plugins(Vec<PluginId>),
    /// Anybody's: too many to name, or news were lost with the connection.
    Anybody,
}

/// An ear on the database.
#[derive(Debug)]
pub struct StandingFeed(PgListener);

impl StandingFeed {
    /// Opens a connection of its own and listens.
    ///
    /// # Errors
    /// When the database can not be reached.
    pub async fn open(db: &Db) -> Result<Self, StoreError> {
        Ok(Self(db.listener(CHANNEL).await?))
    }

    /// The next news. After a lost connection it listens anew and says [`StandingNews::Anybody`].
    ///
    /// # Errors
    /// When the database can not be reached again.
    pub async fn next(&mut self) -> Result<StandingNews, StoreError> {
        let heard = self.0.try_recv().await?;
        Ok(heard.map_or(StandingNews::Anybody, |notification| read(notification.payload())))
    }
}

fn read(payload: &str) -> StandingNews {
    let plugins = payload
        .split(',')
        .map(|id| id.parse().ok())
        .collect::<Option<Vec<PluginId>>>();
    plugins.map_or(StandingNews::Anybody, StandingNews::Plugins)
}

/// Agents whose standing changed in the last minute, with the moment: what to look at when notifications are not to be
/// relied on. At most 10,000; `None` when there are more.
///
/// # Errors
/// When the database fails.
pub async fn changed_lately(db: &Db) -> Result<Option<Vec<(PluginId, jiff::Timestamp)>>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT plugin_id, standing_changed_at AS "standing_changed_at: SqlTimestamp" FROM agents
           WHERE standing_changed_at > now() - interval '1 minute' LIMIT 10001"#
    )
    .fetch_all(db.pool())
    .await?;
    if rows.len() > 10_000 {
        return Ok(None);
    }
    let changed = rows
        .into_iter()
        .map(|row| (row.plugin_id.into(), row.standing_changed_at.to_jiff()));
    Ok(Some(changed.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_that_can_not_be_read_concern_anybody() {
        let id = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(read(id), StandingNews::Plugins(vec![id.parse().unwrap()]));
        for odd in ["*", "", &format!("{id},x")] {
            assert_eq!(read(odd), StandingNews::Anybody, "{odd}");
        }
    }
}
