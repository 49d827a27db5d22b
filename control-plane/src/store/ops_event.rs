//! What people see happen (`ops_events`): placed in one order, read from a position on, kept for days.

use jiff::Timestamp;
use plugmend_shared::ids::{MerchantId, PluginId};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgListener;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _};

const CHANNEL: &str = "plugmend_events";
/// Events that one transaction gives positions to.
const BATCH: i32 = 500;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpsEvent {
    /// Where it stands; what a reader remembers.
    pub position: i64,
    /// What happened, `incident.opened` say.
    pub kind: String,
    /// Whose plugin it is about; none: it is the fleet's.
    pub merchant_id: Option<MerchantId>,
    /// Which plugin.
    pub plugin_id: Option<PluginId>,
    /// What is to be known of it; the rest is read where it stands.
    pub data: Value,
    /// When.
    pub at: Timestamp,
}

/// Gives waiting events their positions; whether there may be more.
///
/// # Errors
/// When the database fails.
pub async fn place(db: &Db) -> Result<bool, StoreError> {
    let placed = sqlx::query_scalar!(r#"SELECT plugmend_place_events($1) AS "placed!""#, BATCH)
        .fetch_one(db.pool())
        .await?;
    Ok(placed == BATCH)
}

/// At most `limit` events behind a position, of one merchant or of all, in their order.
///
/// # Errors
/// When the database fails.
pub async fn after(
    db: &Db,
    position: i64,
    merchant_id: Option<MerchantId>,
    limit: i64,
) -> Result<Vec<OpsEvent>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT position, kind, merchant_id, plugin_id, data, created_at AS "created_at: SqlTimestamp"
           FROM ops_events WHERE position > $1 AND ($2::uuid IS NULL OR merchant_id = $2) ORDER BY position LIMIT $3"#,
        position,
        merchant_id.map(|id| id.0),
        limit
    )
    .fetch_all(db.reading_pool())
    .await?;
    let event = rows.into_iter().map(|row| OpsEvent {
        position: row.position,
        kind: row.kind,
        merchant_id: row.merchant_id.map(MerchantId),
        plugin_id: row.plugin_id.map(PluginId),
        data: row.data,
        at: row.created_at.to_jiff(),
    });
    Ok(event.collect())
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The last position that was forgotten.
    pub forgotten: i64,
    /// The newest position.
    pub newest: i64,
}

/// What is kept.
///
/// # Errors
/// When the database fails.
pub async fn kept(db: &Db) -> Result<Kept, StoreError> {
    let row = sqlx::query!(
        r#"SELECT position AS forgotten,
             coalesce((SELECT max(position) FROM ops_events), position) AS "newest!" FROM ops_events_forgotten"#
    )
    .fetch_one(db.reading_pool())
    .await?;
    Ok(Kept {
        forgotten: row.forgotten,
        newest: row.newest,
    })
}

/// Forgets at most `at_once` events that are older than `before`, or of which there are more than `most`; how many.
///
/// # Errors
/// When the database fails.
pub async fn forget(db: &Db, before: Timestamp, most: i64, at_once: u32) -> Result<u32, StoreError> {
    let forgotten = sqlx::query_scalar!(
        r#"SELECT plugmend_forget_events($1, $2, $3) AS "forgotten!""#,
        before.to_sqlx() as _,
        most,
        i32::try_from(at_once).unwrap_or(i32::MAX)
    )
    .fetch_one(db.pool())
    .await?;
    Ok(u32::try_from(forgotten).unwrap_or(0))
}

/// An ear on the database.
#[derive(Debug)]
pub struct EventFeed(PgListener);

impl EventFeed {
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
