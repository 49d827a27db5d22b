//! What an order's standing hangs on.

use plugmend_shared::ids::{CommandId, PluginId};

use crate::{
    domain::command::Standing,
    store::{Db, StoreError},
};

/// How the order `id` of `plugin_id` stands now, the policy included; none when there is no such order. Read without a
/// lock and from the database each time: the kill switch is plain SQL and must count at once on every replica.
///
/// # Errors
/// When the database fails.
pub async fn standing(db: &Db, plugin_id: PluginId, id: CommandId) -> Result<Option<Standing>, StoreError> {
    let found = sqlx::query_as!(
        Standing,
        r#"SELECT command.status AS "status!", attempt.status AS "attempt?",
             coalesce(attempt.executed_by = 'sira', false) AS "automatic!",
             coalesce((SELECT autopatch_enabled FROM ops_policy WHERE id = 1), false) AS "autopatch_enabled!",
             EXISTS (
               SELECT 1 FROM plugin_agent_commands back
               WHERE back.merchant_plugin_id = command.merchant_plugin_id AND back.command_type = 'rollback'
                 AND back.status IN ('pending', 'sent', 'acknowledged', 'executing')
                 AND back.created_at >= command.created_at AND back.id <> command.id) AS "called_back!",
             EXISTS (
               SELECT 1 FROM releases
               WHERE command.command_type IN ('update', 'rollback')
                 AND product = command.command_payload ->> 'product' AND version = command.command_payload ->> 'version'
                 AND (blocked_at IS NOT NULL OR revoked_at IS NOT NULL)) AS "release_stopped!"
           FROM plugin_agent_commands command
           LEFT JOIN plugin_autopatch_attempts attempt ON attempt.id = command.attempt_id
           WHERE command.id = $1 AND command.merchant_plugin_id = $2"#,
        id.0,
        plugin_id.0
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(found)
}
