//! What detectors remember of plugins (`plugin_detectors`), and which versions plugins ran.

use std::collections::HashMap;

use jiff::Timestamp;
use plugmend_shared::ids::PluginId;
use uuid::Uuid;

use super::{Db, SqlTimestamp, StoreError, ToSqlx as _, Tx};

/// What is remembered of plugins whose rows are held.
///
/// # Errors
/// When the database fails.
pub async fn load(tx: &mut Tx, plugin_ids: &[Uuid]) -> Result<HashMap<PluginId, Remembered>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT plugin_id, state, ill, early_until AS "early_until: SqlTimestamp"
           FROM plugin_detectors WHERE plugin_id = ANY ($1)"#,
        plugin_ids
    )
    .fetch_all(&mut **tx)
    .await?;
    let remembered = rows.into_iter().map(|row| {
        let one = Remembered {
            state: row.state,
            ill: row.ill,
            early_until: row.early_until.map(SqlTimestamp::to_jiff),
        };
        (row.plugin_id.into(), one)
    });
    Ok(remembered.collect())
}

/// What is remembered of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The detectors' own bytes.
    pub state: Vec<u8>,
    /// The incident types that they hold for ill.
    pub ill: Vec<String>,
    /// Until when the agent's early word counts.
    pub early_until: Option<Timestamp>,
}

/// What is to be remembered of many plugins, column by column.
#[derive(Debug, Default)]
pub struct States {
    ids: Vec<Uuid>,
    bytes: Vec<Vec<u8>>,
    ill: Vec<String>,
    words: Vec<Option<f64>>,
    early: Vec<Option<SqlTimestamp>>,
}

impl States {
    /// Adds one, with its word about the release that it changed to (in nats; positive speaks against it).
    pub fn push(&mut self, id: PluginId, remembered: &Remembered, word: Option<f64>) {
        self.ids.push(id.0);
        self.bytes.push(remembered.state.clone());
        self.ill.push(remembered.ill.join(","));
        self.early.push(remembered.early_until.map(jiff_sqlx::ToSqlx::to_sqlx));
        self.words.push(word.filter(|word| word.is_finite()));
    }
}

/// Keeps what is to be remembered of plugins whose rows are held; they were heard, so they are not suspect.
///
/// # Errors
/// When the database fails.
pub async fn save(tx: &mut Tx, states: &States, now: Timestamp) -> Result<(), StoreError> {
    if states.ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO plugin_detectors (plugin_id, state, ill, word, early_until, suspect_since, updated_at)
         SELECT id, state, array_remove(string_to_array(ill, ','), ''), word, early, NULL, $6
         FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::float8[], $5::timestamptz[])
           AS t (id, state, ill, word, early)
         ON CONFLICT (plugin_id) DO UPDATE
         SET state = excluded.state, ill = excluded.ill, word = excluded.word,
             early_until = excluded.early_until, suspect_since = NULL, updated_at = excluded.updated_at",
        &states.ids,
        &states.bytes,
        &states.ill,
        &states.words as _,
        &states.early as _,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// So many changes of a plugin's version are kept: one whose processes disagree changes it with each heartbeat.
const MOST_CHANGES: i64 = 100;

/// Keeps that a plugin runs another version than it did, and forgets what was too long ago.
///
/// # Errors
/// When the database fails.
pub async fn version_changed(
    tx: &mut Tx,
    id: PluginId,
    (from, to): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO plugin_version_changes (plugin_id, at, from_version, to_version) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        id.0,
        now.to_sqlx() as _,
        from,
        to
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM plugin_version_changes WHERE plugin_id = $1 AND at <= (
           SELECT at FROM plugin_version_changes WHERE plugin_id = $1 ORDER BY at DESC OFFSET $2 LIMIT 1)",
        id.0,
        MOST_CHANGES
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A plugin of which nothing was heard for long.
#[derive(Debug, Clone)]
pub struct Silent {
    /// Which.
    pub plugin_id: PluginId,
    /// When it was last heard.
    pub last_heard: Timestamp,
    /// What is remembered of it.
    pub remembered: Remembered,
    /// Whether it is suspect already.
    pub is_suspect: bool,
    /// Until when it is believed that something else is to blame, when that was found of this silence or one before.
    pub excused_until: Option<Timestamp>,
}

/// At most `limit` plugins that were heard before `before` and after `not_before` and are not held for silent, in the
/// order of their ids after `after`; held until the transaction ends, those that others hold left out.
///
/// # Errors
/// When the database fails.
pub async fn lock_silent(
    tx: &mut Tx,
    (not_before, before): (Timestamp, Timestamp),
    after: Option<PluginId>,
    limit: i64,
) -> Result<Vec<Silent>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT plugin.id, plugin.last_heartbeat AS "last_heartbeat!: SqlTimestamp",
             detector.state AS "state?", detector.ill AS "ill?", detector.suspect_since IS NOT NULL AS "is_suspect!",
             detector.excused_until AS "excused_until?: SqlTimestamp"
           FROM merchant_plugins plugin LEFT JOIN plugin_detectors detector ON detector.plugin_id = plugin.id
           WHERE plugin.last_heartbeat <= $1 AND plugin.last_heartbeat > $2
             AND plugin.status IN ('active', 'error', 'pending_update')
             AND NOT coalesce('heartbeat_missed' = ANY (detector.ill), false)
             AND ($3::uuid IS NULL OR plugin.id > $3)
           ORDER BY plugin.id LIMIT $4 FOR NO KEY UPDATE OF plugin SKIP LOCKED"#,
        before.to_sqlx() as _,
        not_before.to_sqlx() as _,
        after.map(|id| id.0),
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    let silent = rows.into_iter().map(|row| Silent {
        plugin_id: row.id.into(),
        last_heard: row.last_heartbeat.to_jiff(),
        remembered: Remembered {
            state: row.state.unwrap_or_default(),
            ill: row.ill.unwrap_or_default(),
            early_until: None,
        },
        is_suspect: row.is_suspect,
        excused_until: row.excused_until.map(SqlTimestamp::to_jiff),
    });
    Ok(silent.collect())
}

/// Keeps that a plugin whose row is held is suspiciously silent, or (`missed`) ill by silence.
///
/// # Errors
/// When the database fails.
pub async fn mark_silent(tx: &mut Tx, silent: &Silent, missed: bool, now: Timestamp) -> Result<(), StoreError> {
    let mut ill = silent.remembered.ill.clone();
    if missed {
        ill.push("heartbeat_missed".to_owned());
    }
    sqlx::query!(
        "INSERT INTO plugin_detectors (plugin_id, state, ill, suspect_since, updated_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (plugin_id) DO UPDATE
         SET ill = excluded.ill, suspect_since = coalesce(plugin_detectors.suspect_since, excluded.suspect_since),
             updated_at = excluded.updated_at",
        silent.plugin_id.0,
        silent.remembered.state,
        &ill,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps that a plugin's silence is not its own until then; its row is held.
///
/// # Errors
/// When the database fails.
pub async fn excuse(tx: &mut Tx, silent: &Silent, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO plugin_detectors (plugin_id, state, ill, suspect_since, excused_until, updated_at)
         VALUES ($1, $2, $3, $5, $4, $5)
         ON CONFLICT (plugin_id) DO UPDATE SET excused_until = excluded.excused_until, updated_at = excluded.updated_at",
        silent.plugin_id.0,
        silent.remembered.state,
        &silent.remembered.ill,
        until.to_sqlx() as _,
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many plugins were last heard in each minute (since 1970) between two moments; those that were heard after
/// `silent_before` count for the minute `None`.
///
/// # Errors
/// When the database fails.
pub async fn last_heard_by_minute(
    db: &Db,
    since: Timestamp,
    silent_before: Timestamp,
) -> Result<Vec<(Option<i64>, u64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN last_heartbeat <= $2 THEN floor(extract(epoch FROM last_heartbeat) / 60)::bigint END AS minute,
             count(*) AS "plugins!"
           FROM merchant_plugins
           WHERE status IN ('active', 'error', 'pending_update') AND last_heartbeat > $1 GROUP BY 1"#,
        since.to_sqlx() as _,
        silent_before.to_sqlx() as _
    )
    .fetch_all(db.pool())
    .await?;
    let minute = rows
        .into_iter()
        .map(|row| (row.minute, u64::try_from(row.plugins).unwrap_or(0)));
    Ok(minute.collect())
}

/// When the last heartbeat of anybody came, and about how many plugins there are.
///
/// # Errors
/// When the database fails.
pub async fn last_heard_of_anybody(db: &Db) -> Result<(Option<Timestamp>, u64), StoreError> {
    let row = sqlx::query!(
        r#"SELECT max(last_heartbeat) AS "at: SqlTimestamp", count(*) AS "fleet!" FROM merchant_plugins
           WHERE status IN ('active', 'error', 'pending_update') AND last_heartbeat IS NOT NULL"#
    )
    .fetch_one(db.pool())
    .await?;
    Ok((row.at.map(SqlTimestamp::to_jiff), u64::try_from(row.fleet).unwrap_or(0)))
}
