//! What is under way now: few rows, each kind with its index.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plugmend_shared::ids::MerchantId;
use serde::Serialize;

use crate::store::{Db, SqlTimestamp, StoreError, ToSqlx as _};

/// Numbers by a word.
pub type Counted = BTreeMap<String, i64>;

/// What is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = UnderWay)]
pub struct Loops {
    /// Incidents that are not over, by severity.
    pub incidents_by_severity: Counted,
    /// The same by status.
    pub incidents_by_status: Counted,
    /// Attempts that have not ended, by status.
    pub attempts: Counted,
    /// Cures and orders that wait for people.
    pub awaiting_approval: i64,
    /// Orders that have not ended, by status.
    pub commands: Counted,
    /// Events that wait to be made deliveries.
    pub outbox_waiting: i64,
    /// Deliveries of webhooks that wait, and that were given up on.
    pub deliveries: Counted,
    /// Entries of the audit trail that wait to be sealed.
    pub audit_waiting: i64,
    /// Outcomes that wait to be learned from.
    pub lessons_waiting: i64,
    /// Agents that are revoked or seen in two places.
    pub agents: Counted,
    /// How long the incident that is due the longest has waited for the loop, in seconds.
    pub loop_lag_s: i64,
}

/// Counts what is under way, of one merchant or of all. What is the fleet's own is zero for a merchant.
///
/// # Errors
/// When the database fails.
pub async fn loops(db: &Db, merchant_id: Option<MerchantId>, now: Timestamp) -> Result<Loops, StoreError> {
    let rows = sqlx::query!(
        r#"WITH mine AS (SELECT $1::uuid AS merchant)
           SELECT 'severity' AS "what!", severity AS "word!", count(*) AS "n!" FROM plugin_incidents, mine
           WHERE status <> 'closed' AND duplicate_of IS NULL AND (merchant IS NULL OR merchant_id = merchant)
           GROUP BY severity
           UNION ALL
           SELECT 'status', status, count(*) FROM plugin_incidents, mine
           WHERE status <> 'closed' AND duplicate_of IS NULL AND (merchant IS NULL OR merchant_id = merchant)
           GROUP BY status
           UNION ALL
           SELECT 'attempts', status, count(*) FROM plugin_autopatch_attempts, mine
           WHERE status IN ('pending', 'staging', 'applying') AND (merchant IS NULL OR merchant_id = merchant)
           GROUP BY status
           UNION ALL
           SELECT 'approval', '', count(*) FROM approvals, mine
           WHERE status = 'pending' AND (merchant IS NULL OR merchant_id = merchant)
           UNION ALL
           SELECT 'commands', status, count(*) FROM plugin_agent_commands, mine
           WHERE status IN ('pending', 'sent', 'acknowledged', 'executing')
             AND (merchant IS NULL OR merchant_id = merchant)
           GROUP BY status
           UNION ALL
           SELECT 'agents', 'revoked', count(*) FROM agents, mine
           WHERE revoked_at IS NOT NULL AND (merchant IS NULL OR merchant_id = merchant)
           UNION ALL
           SELECT 'agents', 'fenced', count(*) FROM agents, mine
           WHERE fenced_at IS NOT NULL AND revoked_at IS NULL AND (merchant IS NULL OR merchant_id = merchant)
           UNION ALL
           SELECT 'outbox', '', count(*) FROM outbox_events, mine WHERE spread_at IS NULL AND merchant IS NULL
           UNION ALL
           SELECT 'deliveries', status, count(*) FROM webhook_deliveries, mine
           WHERE status IN ('pending', 'dead') AND merchant IS NULL GROUP BY status
           UNION ALL
           SELECT 'audit', '', coalesce(max(number) - min(number) + 1, 0) FROM audit_waiting
           UNION ALL
           SELECT 'lessons', '', count(*) FROM sira_lessons_due
           UNION ALL
           SELECT 'lag', '', coalesce(greatest(extract(epoch FROM $2 - min(next_look_at))::bigint, 0), 0)
           FROM plugin_incidents
           WHERE status <> 'closed' AND next_look_at IS NOT NULL AND next_look_at > 'epoch'"#,
        merchant_id.map(|id| id.0),
        now.to_sqlx() as SqlTimestamp
    )
    .fetch_all(db.reading_pool())
    .await?;
    let mut loops = Loops::default();
    for row in rows {
        let mine = merchant_id.is_none();
        match row.what.as_str() {
            "severity" => drop(loops.incidents_by_severity.insert(row.word, row.n)),
            "status" => drop(loops.incidents_by_status.insert(row.word, row.n)),
            "attempts" => drop(loops.attempts.insert(row.word, row.n)),
            "commands" => drop(loops.commands.insert(row.word, row.n)),
            "agents" => drop(loops.agents.insert(row.word, row.n)),
            "deliveries" => drop(loops.deliveries.insert(row.word, row.n)),
            "approval" => loops.awaiting_approval = row.n,
            "outbox" => loops.outbox_waiting = row.n,
            "audit" if mine => loops.audit_waiting = row.n,
            "lessons" if mine => loops.lessons_waiting = row.n,
            "lag" if mine => loops.loop_lag_s = row.n,
            _ => {}
        }
    }
    Ok(loops)
}
