//! How many plugins there are, of what, and how they are doing.

use plugmend_shared::ids::MerchantId;
use serde::{Deserialize, Serialize};

use crate::store::{Db, StoreError};

/// Kinds of plugins that are told apart at most.
const KINDS: i64 = 5_000;

/// How many plugins are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PluginCount {
    /// What is installed, where that is known.
    pub product: Option<String>,
    /// In which version.
    pub version: String,
    /// On which platform.
    pub cms: String,
    /// `active`, `disabled`, ...
    pub status: String,
    /// How many.
    pub plugins: i64,
}

/// Plugins by what they are, the most frequent first; of one merchant or of all. Reads them all.
///
/// # Errors
/// When the database fails.
pub async fn plugins(db: &Db, merchant_id: Option<MerchantId>) -> Result<Vec<PluginCount>, StoreError> {
    let counts = sqlx::query_as!(
        PluginCount,
        r#"SELECT product, plugin_version AS version, cms, status, count(*) AS "plugins!" FROM merchant_plugins
           WHERE $1::uuid IS NULL OR merchant_id = $1
           GROUP BY product, plugin_version, cms, status ORDER BY count(*) DESC, 1, 2, 3, 4 LIMIT $2"#,
        merchant_id.map(|id| id.0),
        KINDS
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(counts)
}

/// How many plugins are not simply well; the words are those of lists of plugins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Healths {
    /// Disabled or blocked.
    pub off: i64,
    /// An incident is open.
    pub ill: i64,
    /// Nothing was heard for suspiciously long.
    pub silent: i64,
    /// Never heard.
    pub unknown: i64,
    /// An order is on its way.
    pub changing: i64,
    /// A cure is watched.
    pub recovering: i64,
}

/// Plugins that are not simply well, each counted under the worst that can be said of it.
///
/// # Errors
/// When the database fails.
pub async fn health(db: &Db, merchant_id: Option<MerchantId>) -> Result<Healths, StoreError> {
    let healths = sqlx::query_as!(
        Healths,
        r#"WITH said (id, worst) AS (
             SELECT id, 1 FROM merchant_plugins WHERE status IN ('disabled', 'blocked')
             UNION ALL
             SELECT merchant_plugin_id, 2 FROM plugin_incidents
             WHERE status IN ('open', 'in_progress', 'escalated') AND duplicate_of IS NULL
             UNION ALL
             SELECT plugin_id, 3 FROM plugin_detectors WHERE suspect_since IS NOT NULL
             UNION ALL
             SELECT id, 4 FROM merchant_plugins WHERE NOT heard
             UNION ALL
             SELECT merchant_plugin_id, 5 FROM plugin_agent_commands
             WHERE status IN ('sent', 'acknowledged', 'executing')
             UNION ALL
             SELECT merchant_plugin_id, 6 FROM plugin_incidents WHERE status = 'mitigated' AND duplicate_of IS NULL
           ), worst AS (SELECT id, min(worst) AS worst FROM said GROUP BY id)
           SELECT count(*) FILTER (WHERE worst = 1) AS "off!", count(*) FILTER (WHERE worst = 2) AS "ill!",
             count(*) FILTER (WHERE worst = 3) AS "silent!", count(*) FILTER (WHERE worst = 4) AS "unknown!",
             count(*) FILTER (WHERE worst = 5) AS "changing!", count(*) FILTER (WHERE worst = 6) AS "recovering!"
           FROM worst
           WHERE $1::uuid IS NULL OR id IN (SELECT id FROM merchant_plugins WHERE merchant_id = $1)"#,
        merchant_id.map(|id| id.0)
    )
    .fetch_one(db.reading_pool())
    .await?;
    Ok(healths)
}
